"""`recgate ssh`: the real `ssh`, told to come through a tunnel and to believe the gateway's host keys alone."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import click
import trio

from recgate.cli.remote import About, RemoteGateway, checked_target, gateway_options
from recgate.errors import RecgateError

__all__ = ["host_block", "ssh", "ssh_settings"]


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Everything behind TARGET is ssh's: options, and the command to run there.",
)
@gateway_options
@click.argument("target")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ssh(target: str, arguments: tuple[str, ...], url: str, ca: Path | None) -> None:
    """Run ssh to TARGET through the gateway's HTTPS port; its exit status is ssh's."""
    gateway = RemoteGateway.of(url, ca)
    program = shutil.which("ssh")
    if program is None:
        raise RecgateError("there is no ssh here: install OpenSSH's client")
    about = trio.run(gateway.about)
    settings = ssh_settings(gateway, about, checked_target(target), ca)
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    # The host is the one that the person named: what a gateway calls itself must not choose among their `Host` blocks.
    where = f"{target}@{gateway.known.host}"
    os.execv(program, ["ssh", *options, where, *arguments])  # noqa: S606 - no shell is wanted


def ssh_settings(gateway: RemoteGateway, about: About, target: str, ca: Path | None) -> dict[str, str]:
    """Give the settings of ssh_config(5) that lead to a target: the way, and whose host key is believed."""
    known = gateway.keep(f"known_hosts-{gateway.slug}", f"@cert-authority {about.name} {about.ssh_host_ca}\n")
    words = [*_recgate(), "connect", "--stdio", "--url", gateway.known.url]
    words += ["--ca", str(ca.absolute())] if ca is not None else []
    command = shlex.join([*words, target])
    return {
        "ProxyCommand": command.replace("%", "%%"),  # ssh expands tokens in it
        "HostKeyAlias": about.name,
        "UserKnownHostsFile": _quoted(str(known)),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
    }


def host_block(gateway: RemoteGateway, about: About, target: str, ca: Path | None) -> str:
    """Give the `Host` block of ssh_config(5) by which `ssh TARGET`, scp, rsync and git come through the gateway."""
    lines = [f"Host {target}", f"  HostName {gateway.known.host}", f"  User {target}"]
    lines += [f"  {name} {value}" for name, value in ssh_settings(gateway, about, target, ca).items()]
    return "\n".join(lines) + "\n"


def _recgate() -> list[str]:
    """Give the words that run this very command, from wherever it was started."""
    beside = Path(sys.executable).with_name("recgate")
    return [str(beside)] if os.access(beside, os.X_OK) else [sys.executable, "-m", "recgate"]


def _quoted(path: str) -> str:
    path = path.replace("%", "%%")  # ssh expands tokens in it, too
    return f'"{path}"' if " " in path else path
