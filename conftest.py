"""What every test in the workspace shares: hypothesis profiles, asyncio as it is. A fixture lives with its tests."""

import asyncio
import os

import trio_asyncio  # noqa: F401 - it takes asyncio over when it is imported, so that comes first
from hypothesis import settings

# A shared runner's slowness is not a bug in a parser, and a failure must be the same one on the next run.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# Outside of trio asyncio runs as it comes, not on a trio in a greenlet, from which an interrupted test leaves a loop.
asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
