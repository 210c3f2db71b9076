"""Which channels are looked into, and by what: none of them unless somebody's rules or masks are about this session.

A gate stands where a channel's reads come in, in the place of the way straight on. It is chosen when a program is
asked for, by what the request says; a program that is not what it says is a shell, and shells have rules of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from recgate.sansio.frames import CLIENT, UPSTREAM, Request
from recgate.session import Session
from recgate_ssh.filegate import FileGate
from recgate_ssh.inputgate import InputGate
from recgate_ssh.maskgate import MaskGate
from recgate_ssh.paths import file_request
from recgate_ssh.scpgate import ScpGate, copy_of
from recgate_ssh.shellgate import ShellGate
from recgate_ssh.stdingate import StdinGate
from recgate_ssh.words import legible

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["judged", "watch"]

_KINDS: Final = frozenset({"shell", "file"})


def judged(session: Session) -> bool:
    """Whether rules may have something to say of commands and files in this session."""
    return not session.unruled >= _KINDS


def watch(bridge: Bridge, word: str, values: Mapping[str, object]) -> tuple[Request, ...]:
    """Put a gate into a channel whose program is asked for; gives what must be allowed besides."""
    session = bridge.crossing.session
    near, far = bridge.ends[CLIENT], bridge.ends[UPSTREAM]
    near.through = None
    judging = judged(session)
    if word == "subsystem" and values.get("name") == "sftp":
        if judging:
            files = FileGate(bridge)
            near.through, far.through = files.asked, files.answered
        return ()
    copy = copy_of(legible(values["command"])) if word == "exec" else None
    if session.masking is not None and (copy is None or not copy.alone):
        MaskGate(bridge, session.masking).attach()
    if copy is None:
        if "shell" not in session.unruled and word != "subsystem":
            if bridge.pty:
                ShellGate(bridge).attach()
            elif word == "shell":
                StdinGate(bridge).attach()
        if session.inputs is not None:
            InputGate(bridge, session.inputs).attach()
        return ()
    if not judging:
        return ()
    if copy.base:
        near.through = ScpGate(bridge, copy).sent
    return (file_request(bridge.number, copy.acts, by="scp"),)
