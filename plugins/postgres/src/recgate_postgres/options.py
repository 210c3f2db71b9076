"""What an operator may write for a PostgreSQL target and listener."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recgate.errors import AccessDenied
from recgate.sansio.frames import Request

__all__ = ["PostgresListener", "PostgresTarget"]


class PostgresTarget(BaseModel):
    """`targets[].options` of a PostgreSQL target.

    `database` is opened when the client names none, the target or itself; `databases` lists the others that
    it may name (`"*"`: any). `tag` puts the session id into `application_name`, where the target logs it.
    `replication` opens the replication protocol. `max_message` bounds what one message (a statement, a set of
    bind values) may make the gateway hold; rows and COPY data are not bounded by it. `max_protocol` is the
    newest protocol version that is offered to the target: say `"3.0"` for a pooler that cannot negotiate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[str, Field(min_length=1)] = "postgres"
    databases: tuple[str, ...] | Literal["*"] = ()
    tls: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    ca: Path | None = None
    tag: bool = False
    replication: bool = False
    max_message: Annotated[int, Field(ge=16_384, le=1_000_000_000)] = 64 * 1024 * 1024
    max_protocol: Literal["3.0", "3.2"] = "3.2"

    def allows(self, request: Request) -> bool:
        """Whether a request that needs an allow of its own has it."""
        return request.kind == "replication" and self.replication

    def database_for(self, asked: str, target: str, *names: str) -> str:
        """Give the database to open: the target's own unless the client names another that is open to it.

        `names` are what a client's library puts there by itself: the login name, or the target within it.

        Raises:
            AccessDenied: it is not open (3D000).
        """
        if asked in ("", target, self.database, *names):
            return self.database
        if self.databases == "*" or asked in self.databases:
            return asked
        reason = f'database "{asked[:63]}" is not open on {target}: its options.databases does not list it'
        raise AccessDenied(reason, code="3D000")

    def settle(self, target: str, details: Mapping[str, str]) -> Mapping[str, str]:
        """Say which database will be opened. Raises `AccessDenied`, also for replication that is not open."""
        if details.get("replication") and not self.replication:
            reason = f"replication is not open on {target}: its options.replication does not say so"
            raise AccessDenied(reason, code="42501")
        login = details.get("login", "")
        database = self.database_for(details.get("database", ""), target, login)
        return {**details, "database": database}


class PostgresListener(BaseModel):
    """Options of a PostgreSQL listener.

    One request for a proof goes out before anything of the client's is seen, so there is one method a
    listener: `password` takes a token in a password's place, inside TLS; `scram` takes a token that was
    issued for it, and needs a login name of the form `user+target`; `oauth` is SASL OAUTHBEARER (RFC 7628), whose
    clients are sent to `issuer` for an access token with `scope`; `certificate` takes TLS client certificates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: Literal["password", "scram", "oauth", "certificate"] = "password"
    # A client goes where this says with somebody's sign-in: over TLS, or on this machine (a provider under test).
    issuer: Annotated[
        str, Field(pattern=r"\A(https://[^\s/]+|http://(127\.0\.0\.1|localhost)(:\d+)?)(/\S*)?\z|\A\z")
    ] = ""
    scope: str = "openid"

    @model_validator(mode="after")
    def complete(self) -> Self:  # noqa: N804 - an "after" validator is called on the model
        """Hold `oauth` and `issuer` together. Raises `ValueError`."""
        if (self.auth == "oauth") != bool(self.issuer):
            raise ValueError("`auth: oauth` and `issuer:` belong together: it says who gives out the tokens")
        return self

    def objection(self, tls: str) -> tuple[str, str] | None:
        """Say why nobody could log in with this `tls:`, and what to do about it."""
        if tls == "off" and self.auth != "scram":
            wrong = f"nobody could log in: `auth: {self.auth}` works only inside TLS"
            return wrong, "Say `tls: require`, or `auth: scram`, which sends no token"
        return None
