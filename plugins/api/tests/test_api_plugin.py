"""What the plugin brings, and that reading a configuration does not import a web server."""

from __future__ import annotations

import subprocess
import sys

from recgate_api.plugin import recgate_services


def test_it_brings_the_service_https() -> None:
    (provider,) = recgate_services()
    assert (provider.name, provider.default_port, provider.default_listener_tls) == ("https", 8443, "require")


def test_every_command_comes_by_it_and_none_waits_for_a_web_server() -> None:
    code = (
        "import sys, recgate_api.plugin; sys.exit(any(m in sys.modules for m in ('hypercorn', 'starlette')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
