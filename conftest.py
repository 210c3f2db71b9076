"""What every test in the workspace shares: hypothesis profiles. A fixture lives with its tests."""

import os

from hypothesis import settings

# A shared runner's slowness is not a bug in a parser, and a failure must be the same one on the next run.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
