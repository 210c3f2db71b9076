"""What an operator may write for a PostgreSQL target and listener."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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

    def opens(self, database: str) -> bool:
        """Whether a client may name this database."""
        return self.databases == "*" or database in self.databases


class PostgresListener(BaseModel):
    """Options of a PostgreSQL listener.

    One request for a proof goes out before anything of the client's is seen, so there is one method a
    listener: `password` takes a token in a password's place, inside TLS; `scram` takes a token that was
    issued for it, and needs a login name of the form `user+target`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: Literal["password", "scram"] = "password"
