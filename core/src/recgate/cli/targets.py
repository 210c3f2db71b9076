"""`recgate targets`: where one may go from this gateway, or by one elsewhere, and the line to type for each."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import trio

from recgate.cli.context import configuration, json_option, print_json, registry
from recgate.cli.home import ClientHome
from recgate.cli.livesocket import ask
from recgate.cli.remote import RemoteGateway, gateway_options, is_client
from recgate.cli.sshclient import host_block
from recgate.cli.sshidentity import SshIdentity, certified
from recgate.errors import RecgateError
from recgate.keys import GatewayKeys
from recgate.model import Principal
from recgate.providers import Authenticator, Directory
from recgate.transcript.neutral import neutralise

if TYPE_CHECKING:
    from recgate.config import Configuration, ListenerSettings, TargetSettings

__all__ = ["targets"]

NO_LISTENER: Final = "no listener speaks its protocol"
NO_WORD: Final = "its plugin says no line for it"
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


@click.command()
@click.option("--user", "name", default="", metavar="U", help="Only what this user may reach.")
@click.option("--group", "groups", multiple=True, metavar="G", help="Taken to be in this group as well.")
@click.option(
    "--ssh-config", "as_ssh_config", is_flag=True, help="Print Host blocks for ~/.ssh/config instead."
)
@gateway_options
@json_option
def targets(
    name: str, groups: tuple[str, ...], as_json: bool, as_ssh_config: bool, url: str, ca: Path | None
) -> None:
    """List targets and the line to type for each. Exit status 1 if there is none.

    With --url, or where no gateway is configured, what your sign-in may reach by a gateway elsewhere.
    """
    if as_ssh_config or is_client(url):
        if name or groups:
            raise click.UsageError("a gateway elsewhere tells you what you may reach, and nobody else")
        _remote(RemoteGateway.of(url, ca), ca, as_json=as_json, as_ssh_config=as_ssh_config)
        return
    config = configuration()
    found = list(config.targets.values())
    if name or groups:
        principal = trio.run(_principal, name, frozenset(groups), registry().authenticators)
        found = [target for target in found if target.allows(principal)]
    lines = _Lines(config)
    for target in found:
        line, why = lines.of(target, name)
        if as_json:
            print_json(
                {
                    "name": target.info.name,
                    "protocol": target.info.protocol,
                    "allow": list(target.allow),
                    "labels": dict(target.labels),
                    "line": line,
                }
            )
        else:
            click.echo(f"{target.info.name:<24} {target.info.protocol:<10} {line or why}")
    if not found:
        click.echo(
            "there is no target" + (f" for {name}" if name else "") + "; see `targets:` in the configuration",
            err=True,
        )
        raise click.exceptions.Exit(1)


def _remote(gateway: RemoteGateway, ca: Path | None, *, as_json: bool, as_ssh_config: bool) -> None:
    """Print what a gateway elsewhere says that this person may reach."""
    found = trio.run(gateway.targets)
    authority = gateway.ca_file()
    home = ClientHome.of()
    identity = SshIdentity(home.directory, gateway.slug)
    with_ssh = any(each.protocol == "ssh" for each in found) and not as_ssh_config
    certificate = with_ssh and trio.run(certified, gateway, identity, home.token(gateway.known.url).token)
    if as_ssh_config:
        about = trio.run(gateway.about)
        blocks = [host_block(gateway, about, each.name, ca) for each in found if each.protocol == "ssh"]
        click.echo("\n".join(blocks), nl=False)
        found = [each for each in found if each.protocol == "ssh"]
        for name in (each.name for each in found if "." in each.name):
            words = "goes through this gateway from now on, also if another host has that name"
            click.echo(f"recgate: `ssh {name}` {words}", err=True)
    for each in found if not as_ssh_config else ():
        line = each.line.replace("{ca}", authority)
        if each.protocol == "ssh" and certificate:
            line = identity.in_line(line)
        line = neutralise(line, lines=False)
        if as_json:
            row = {"name": each.name, "protocol": each.protocol, "labels": each.labels, "line": line}
            print_json({**row, "needs": each.needs, "granted": each.granted})
        else:
            shown = neutralise(each.needs, lines=False) or line or f"recgate connect {each.name}"
            click.echo(f"{each.name:<24} {neutralise(each.protocol, lines=False):<10} {shown}")
            if each.granted:
                click.echo(f"{'':<24} {'':<10} {neutralise(each.granted)}")
    if not found:
        click.echo(f"no target at {gateway.known.url} is open to you", err=True)
        raise click.exceptions.Exit(1)


async def _principal(name: str, groups: frozenset[str], authenticators: list[Authenticator]) -> Principal:
    """Ask every identity source that knows its users; groups given by hand are added."""
    for authenticator in authenticators:
        if name and isinstance(authenticator, Directory):
            known = await authenticator.lookup(name)
            if known is not None:
                return Principal(known.issuer, known.subject, known.name, known.groups | groups)
    return Principal("", name, name, groups)


class _Lines:
    """Words the line for each target. The running gateway is asked only where it alone knows the port."""

    def __init__(self, config: Configuration) -> None:
        self._config = config

    def of(self, target: TargetSettings, name: str) -> tuple[str, str]:
        """Give the line, or the empty string and why there is none."""
        config = self._config
        provider = registry().protocols[target.info.protocol]
        listener = next((each for each in config.listeners if each.protocol == target.info.protocol), None)
        if listener is None:
            return "", NO_LISTENER
        if provider.client_line is None:
            return "", NO_WORD
        port = listener.port or self._bound.get(listener.name, 0)
        if not port:
            return "", f"{listener.name} takes its port when it starts, and {self._unknown}"
        login = target.info.name
        if name and getattr(listener.options, "auth", "") == "scram":
            login = f"{name}+{login}"
        line = provider.client_line(target.info, _host(config, listener), port, login)
        return line.replace("{ca}", _authority(config)), ""

    @cached_property
    def _bound(self) -> dict[str, int]:
        """Ports by listener, as the running gateway has bound them."""
        ports: dict[str, int] = {}
        self._unknown = "the running gateway has no such listener: restart it, or give it a fixed port"
        try:
            for line in ask(self._config.data_dir, {"do": "listeners"}):
                port = line.get("port")
                if isinstance(port, int):
                    ports.setdefault(str(line.get("name", "")), port)
        except RecgateError as exc:
            self._unknown = str(exc)
        return ports


def _authority(config: Configuration) -> str:
    """Say what a client verifies the gateway with: our CA, or the system's for an operator's own certificate."""
    if config.gateway.tls is not None:
        return "system"
    path = str(GatewayKeys.of(config).ca_file)
    return f"'{path}'" if " " in path else path


def _host(config: Configuration, listener: ListenerSettings) -> str:
    if listener.host not in _ANYWHERE:
        return listener.host
    return config.gateway.hosts[0] if config.gateway.hosts else config.gateway.name
