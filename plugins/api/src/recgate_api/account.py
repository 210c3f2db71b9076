"""What one may know about the gateway, about oneself, and about where one may go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from recgate import __version__
from recgate.errors import RecgateError
from recgate.httpauth import Receive, Scope, Send, answer_json, connection_of, signing_in
from recgate.keys.ssh import public_line
from recgate.providers import Advertising, Foreseeing
from recgate.stepup import unmet

if TYPE_CHECKING:
    from recgate.config import TargetSettings
    from recgate.gateway import Gateway
    from recgate.model import Principal
    from recgate.policy.approving import Grant

__all__ = ["About", "Targets", "WhoAmI"]

FEATURES: Final = ("connect",)


class About:
    """`GET /.well-known/recgate`: what a client needs before anybody is known. Nothing here is secret."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        gateway = self._gateway
        keys = gateway.keys
        ways = [each for each in gateway.registry.authenticators if isinstance(each, Advertising)]
        about = {
            "name": gateway.config.gateway.name,
            "version": __version__,
            "features": list(FEATURES),
            "login": [dict(found) for each in ways if (found := await each.advertise()) is not None],
            # The operator's own certificate comes from a CA that the client's system knows.
            "ca": keys.ca_file.read_text() if gateway.config.gateway.tls is None else "",
            "ssh_host_ca": public_line(keys.ssh_host_ca, f"recgate-host-ca@{keys.name}").decode().strip(),
        }
        await answer_json(send, 200, about)


class WhoAmI:
    """`GET /api/v1/whoami`: whom the token proves, how, and until when."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        principal = await signing_in(self._gateway, scope)
        await answer_json(
            send,
            200,
            {
                "user": principal.name,
                "issuer": principal.issuer,
                "subject": principal.subject,
                "groups": sorted(principal.groups),
                "method": principal.method,
                "credential": principal.credential_id,
                "source": principal.proven_by,
                "expires": principal.expires,
                "acr": principal.acr,
                "amr": sorted(principal.amr),
                "auth_time": principal.auth_time,
                "address": connection_of(scope).peer_host,
                "gateway": self._gateway.config.gateway.name,
                "endings": await self._endings(principal),
                "grants": self._grants(principal),
            },
        )

    def _grants(self, principal: Principal) -> list[dict[str, object]]:
        """Say what is open to somebody for a time alone, and who approved that."""
        gateway = self._gateway
        found = {name: gateway.grant_for(each, principal) for name, each in gateway.config.targets.items()}
        return [
            {"target": name, **said} for name, each in found.items() if (said := _granted(each)) is not None
        ]

    async def _endings(self, principal: Principal) -> list[dict[str, object]] | None:
        """Say what ends its sessions early, and in how many seconds at most; None where the source does not say."""
        sources = self._gateway.registry.authenticators
        source = next((each for each in sources if each.name == principal.proven_by), None)
        if not isinstance(source, Foreseeing):
            return None
        recheck = self._gateway.config.limits.recheck
        try:
            found = await source.endings(principal)
        except RecgateError:
            return None
        return [{"what": each.what, "within": each.within + recheck} for each in found]


def _granted(grant: Grant | None) -> dict[str, object] | None:
    if grant is None:
        return None
    return {"id": grant.id, "until": grant.until, "by": list(grant.by), "reason": grant.reason}


def _asked_for(settings: TargetSettings) -> dict[str, object]:
    """Give the row of a target that one may ask for: how, where others have the line to type."""
    name = settings.info.name
    return {
        "name": name,
        "protocol": settings.info.protocol,
        "labels": dict(settings.info.labels),
        "needs": f"ask for access: recgate requests new {name} --for TIME --reason TEXT",
        "line": "",
        "tunnel": "",
        "grant": None,
    }


class Targets:
    """`GET /api/v1/targets`: what one may open, each with the line for a listener and the one for a tunnel.

    `{ca}` in a line stands for the file of the gateway's CA, `{host}` and `{port}` for the near end of a tunnel.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        principal = await signing_in(self._gateway, scope)
        targets = self._gateway.config.targets.values()
        open_to = [self._row(each, principal) for each in targets if self._gateway.admits(each, principal)]
        open_to += [_asked_for(each) for each in targets if self._on_request(each, principal)]
        await answer_json(send, 200, {"gateway": self._gateway.config.gateway.name, "targets": open_to})

    def _on_request(self, settings: TargetSettings, principal: Principal) -> bool:
        offer = settings.request
        return (
            offer is not None and offer.open_to(principal) and not self._gateway.admits(settings, principal)
        )

    def _row(self, settings: TargetSettings, principal: Principal) -> dict[str, object]:
        info = settings.info
        provider = self._gateway.registry.protocols[info.protocol]
        bound = next((each for each in self._gateway.bound if each.protocol == info.protocol), None)
        line = ""
        if bound is not None and provider.client_line is not None:
            line = provider.client_line(info, self._host(bound.host), bound.port, info.name)
        tunnel = provider.tunnel_line(info, "{host}", "{port}") if provider.tunnel_line is not None else ""
        return {
            "name": info.name,
            "protocol": info.protocol,
            "labels": dict(info.labels),
            "needs": unmet(settings.require, principal, time.time()),
            "line": line,
            "tunnel": tunnel,
            "grant": None
            if settings.allows(principal)
            else _granted(self._gateway.grant_for(settings, principal)),
        }

    def _host(self, bound: str) -> str:
        if bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            return bound
        gateway = self._gateway.config.gateway
        return gateway.hosts[0] if gateway.hosts else gateway.name
