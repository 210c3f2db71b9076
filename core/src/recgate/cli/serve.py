"""`recgate serve`: run the gateway until it is told to stop; SIGHUP reads the configuration again."""

from __future__ import annotations

import gc
import json
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
import structlog
import trio

from recgate import config as configuration
from recgate.cli.context import configuration_file
from recgate.config import Configuration
from recgate.datadir import locked_data_dir
from recgate.errors import ConfigurationError, PluginError, RecgateError
from recgate.gateway import Bound, Gateway
from recgate.logs import configure_logs
from recgate.plugins import Registry
from recgate.privatememory import keep_memory_private

__all__ = ["serve"]

log = structlog.get_logger("recgate")


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print `ready` as JSON with the addresses actually bound."
)
def serve(as_json: bool) -> None:
    """Run the gateway.

    Without a file it starts on embedded defaults in ./recgate-data. Prints one line `ready` once every listener
    accepts. SIGTERM and SIGINT end all sessions, seal their recordings, and stop.
    """
    keep_memory_private()
    # A reload reads the file that was found now, wherever it is looked for later.
    path = configuration.find(configuration_file())
    config = configuration.load(path)
    configure_logs(config.log.format, config.log.level)
    registry = Registry.of(config)
    _descriptors()
    with locked_data_dir(config.data_dir):
        trio.run(_serve, config, registry, path, as_json)


def _descriptors() -> None:
    """Allow as many descriptors as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(config: Configuration, registry: Registry, path: Path | None, as_json: bool) -> None:
    gateway = Gateway(config, registry, path=path)
    try:
        async with trio.open_nursery() as nursery:
            # Signals are heard from the first moment, so that a stop while starting is a stop too.
            nursery.start_soon(_signals, gateway, nursery.cancel_scope)
            bound = await nursery.start(gateway.run)
            # What is loaded by now stays: without this, every full collection looks at all of it again.
            gc.collect()
            gc.freeze()
            _say_ready(config, path, bound, as_json)
    except* RecgateError as group:
        raise _first(group) from None
    except* OSError as group:
        exc = _first(group)
        raise ConfigurationError(f"cannot start: {exc}. Is another program on that address?") from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", first))
    return first


async def _signals(gateway: Gateway, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for signum in signals:
            if signum != signal.SIGHUP:
                scope.cancel()
                return
            try:
                gateway.reload()
            except (ConfigurationError, PluginError) as exc:
                log.error("configuration.refused", reason=str(exc))  # the old one stays in force
                gateway.audit.emit("configuration.refused", by="SIGHUP", reason=str(exc))


def _say_ready(config: Configuration, path: Path | None, bound: Sequence[Bound], as_json: bool) -> None:
    if as_json:
        listeners = [{"protocol": b.protocol, "host": b.host, "port": b.port, "tls": b.tls} for b in bound]
        ready = {
            "ready": True,
            "gateway": config.gateway.name,
            "data_dir": str(config.data_dir),
            "listeners": listeners,
        }
        click.echo(json.dumps(ready))
    else:
        click.echo("ready")
        if path is None and sys.stdout.isatty():
            click.echo(_next_steps(bound))
    sys.stdout.flush()


def _next_steps(bound: Sequence[Bound]) -> str:
    addresses = ", ".join(f"{b.protocol} on {b.host}:{b.port}" for b in bound)
    return (
        f"Listening: {addresses}.\n"
        "Nothing is configured yet, so nobody may go anywhere. Next, in another terminal:\n"
        "  recgate config schema > recgate.schema.json   # completion for your editor\n"
        "  recgate user add alice --group dba            # somebody\n"
        "  recgate secret set prod-db --username app     # a credential that nobody sees\n"
        "and a recgate.yaml with a target; `recgate config check` says what is wrong with it."
    )
