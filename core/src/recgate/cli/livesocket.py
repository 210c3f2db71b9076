"""The caller's side of `data_dir/control.sock`: ask the running gateway about what is live."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, cast

from recgate.errors import RecgateError
from recgate.providers import SessionRow

__all__ = ["NotRunning", "Refused", "ask", "live_row", "live_sessions"]

PATIENCE: Final = 10.0  # seconds for the gateway to take a request and begin its answer
MAX_LINE: Final = 128 << 20  # bytes of an answer's line: the largest frame in base64

_NOT_RUNNING: Final = (
    "no gateway is running there; start it with `recgate serve`, or name its configuration with --config"
)


class NotRunning(RecgateError):
    """Nobody listens on the socket: whatever held the data directory last has stopped, or died."""


class Refused(RecgateError):
    """The gateway's answer is no. Its words are its own."""


def ask(
    data_dir: Path, request: Mapping[str, object], *, endless: bool = False
) -> Iterator[dict[str, object]]:
    """Send one request and give the lines of its answer, but the last, which says that it is done.

    `endless` waits for lines as long as they take, as `watch` must.

    Raises:
        NotRunning: no gateway runs there.
        Refused: its answer is no.
        RecgateError: it may not be asked by this user, or it answers with an error.
    """
    path = data_dir / "control.sock"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            if endless:
                sock.settimeout(None)
            yield from _lines(sock)
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            raise NotRunning(f"{path}: {_NOT_RUNNING}") from exc
        except (OSError, ValueError) as exc:
            raise RecgateError(f"{path}: {_why(exc)}") from exc


def _lines(sock: socket.socket) -> Iterator[dict[str, object]]:
    with sock.makefile("rb") as answer:
        while line := answer.readline(MAX_LINE):
            parsed: object = json.loads(line)
            said = cast("dict[str, object]", parsed) if isinstance(parsed, dict) else {}
            if "error" in said:
                raise (Refused if said.get("no") else RecgateError)(str(said["error"]))
            if "done" in said:
                return
            yield said
    raise RecgateError("the gateway ended before its answer was complete")


def _why(exc: OSError | ValueError) -> str:
    if isinstance(exc, PermissionError):
        return "only root and the gateway's own user may ask it; use sudo"
    if isinstance(exc, TimeoutError):
        return f"the gateway did not answer within {PATIENCE:g} s"
    return str(exc)


def live_sessions(data_dir: Path) -> list[SessionRow] | None:
    """Give the sessions that are live now; None when no gateway runs, so that none can be.

    Of a gateway that may not be asked, or does not answer, nothing is known: the list is empty.
    """
    try:
        return [live_row(line) for line in ask(data_dir, {"do": "sessions"})]
    except NotRunning:
        return None
    except RecgateError:
        return []  # the catalog still has an answer


def live_row(line: Mapping[str, object]) -> SessionRow:
    """Give the row of a live session as the gateway describes it."""
    started, requests, approved = line.get("started"), line.get("requests"), line.get("approved")
    return SessionRow(
        id=str(line.get("session", "")),
        user=str(line.get("user", "")),
        groups=(),
        target=str(line.get("target", "")),
        protocol=str(line.get("protocol", "")),
        source=str(line.get("source", "")),
        started=float(started) if isinstance(started, (int, float)) else 0.0,
        requests=requests if isinstance(requests, int) else 0,
        approved=tuple(map(str, cast("list[object]", approved))) if isinstance(approved, list) else (),
    )
