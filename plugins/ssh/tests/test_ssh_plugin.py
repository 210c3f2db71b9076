"""What the plugin says it provides, and the rule that asyncssh stays behind one package."""

import ast
import subprocess
import sys
from pathlib import Path

import recgate_ssh
from recgate.model import TargetInfo
from recgate_ssh.options import SshListenerOptions, SshTargetOptions
from recgate_ssh.plugin import client_line, recgate_api, recgate_protocols


def test_it_provides_one_protocol_with_a_driver():
    (provider,) = recgate_protocols()

    assert recgate_api == 1
    assert (provider.name, provider.default_port, provider.default_listener_tls) == ("ssh", 22, "off")
    assert (provider.target_options, provider.listener_options) == (SshTargetOptions, SshListenerOptions)
    assert provider.relay is None
    assert provider.driver is not None


def test_the_line_to_type_is_fit_for_a_shell():
    target = TargetInfo("prod-web", "ssh", "h", 22, SshTargetOptions())

    assert client_line(target, "gate", 2222, "") == "ssh -p 2222 prod-web@gate"
    assert client_line(target, "gate", 2222, "a b+prod-web") == "ssh -p 2222 'a b+prod-web@gate'"


def test_asyncssh_stands_behind_one_package():
    root = Path(recgate_ssh.__file__).parent
    guilty: list[str] = []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "asyncssh" for name in names) and path.parent.name != "wire":
                guilty.append(path.name)
    assert guilty == []


def test_the_gateways_process_keeps_asyncio_as_it_is():
    """A loop for asyncio in general would replace its policy for everybody in the process."""
    code = (
        "import asyncio, sys, recgate_ssh.driver; "
        "sys.exit(type(asyncio.get_event_loop_policy()) is not asyncio.DefaultEventLoopPolicy)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
