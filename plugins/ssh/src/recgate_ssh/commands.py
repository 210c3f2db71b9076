"""What a command line of a POSIX shell runs, as acts: the program of every simple command, however it is written.

`r''m -rf /`, `x=1 /bin/rm`, `sudo -u root rm`, `true && $(rm x)`, `bash -c 'rm x'`, `find . -exec rm {} +` all run
`rm`. What cannot be told from the text (a variable for a program, a script, an interpreter) is opaque. This reads
text and runs nothing; it knows no aliases and functions of the target, so it is no wall. Pure code, in time linear in
the text.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Final

from recgate.policy import Act
from recgate_ssh.shellwords import MAX_TEXT, Operator, Substituted, Unfinished, Word, words_of

__all__ = ["MAX_ACTS", "Reading", "acts_of_line", "read"]

MAX_ACTS: Final = 500  # of one line; more are not told apart
MAX_DEPTH: Final = 8  # command lines inside one another

_OPAQUE: Final = Act(opaque=True)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_RESERVED: Final = frozenset(
    {"if", "then", "elif", "else", "do", "while", "until", "!", "{", "time", "coproc"}
)
_ENDS: Final = frozenset({"fi", "done", "esac", "}"})
_LISTS: Final = frozenset({"for", "select", "case"})  # what follows is no command
_DEFINES: Final = frozenset({"function", "alias"})
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "rbash"})
_INTERPRETERS: Final = re.compile(
    r"(?:python|perl|ruby|node|nodejs|php|lua|tclsh|expect|pwsh|osascript)[0-9.]*\Z"
)
_SCRIPTS: Final = frozenset({"source", ".", "fc", "trap", "bind", "parallel", "at", "batch", "script", "gdb"})

# Programs that run another: which of their options take a value, and how many words come before the program.
_WRAPPERS: Final[dict[str, tuple[str, int]]] = {
    "sudo": ("ugpChDRTrtU", 0),
    "doas": ("uC", 0),
    "env": ("uC", 0),
    "nohup": ("", 0),
    "nice": ("n", 0),
    "ionice": ("cnpPu", 0),
    "timeout": ("sk", 1),
    "exec": ("a", 0),
    "command": ("", 0),
    "builtin": ("", 0),
    "stdbuf": ("ioe", 0),
    "setsid": ("", 0),
    "xargs": ("InPLdasEe", 0),
    "watch": ("nqd", 0),
    "chroot": ("", 1),
    "taskset": ("", 1),
    "chrt": ("TPD", 1),
    "flock": ("wEc", 1),
    "strace": ("eopsuaEIOSXb", 0),
    "ltrace": ("eopsulnaAF", 0),
    "unshare": ("", 0),
    "busybox": ("", 0),
    "systemd-run": ("puECMt", 0),
}  # fmt: skip
_FIND: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


@dataclass(slots=True)
class Reading:
    """What a command line does; not `complete` where it goes on in the next line."""

    acts: list[Act] = field(default_factory=list[Act])
    complete: bool = True


def read(text: str) -> Reading:
    """Read a command line. A line that runs nothing has no acts."""
    reading = Reading()
    _Reader(reading, 0).line(text)
    if len(reading.acts) > MAX_ACTS:
        reading.acts = [*reading.acts[: MAX_ACTS - 1], _OPAQUE]
    return reading


def acts_of_line(text: str, *, reads_input: bool = False) -> tuple[Act, ...]:
    """Give the acts of a command line that is run as a whole, at least one; one that does not end is opaque.

    `reads_input`: what a shell in it runs comes from where nobody looks, so that it is opaque, too.
    """
    reading = read(text)
    opaque = not reading.complete or (reads_input and any(act.verb in _SHELLS for act in reading.acts))
    return (*reading.acts, *((_OPAQUE,) if opaque else ())) or (Act(),)


class _Reader:
    def __init__(self, reading: Reading, depth: int) -> None:
        self._reading = reading
        self._depth = depth

    def _act(self, act: Act) -> None:
        if len(self._reading.acts) <= MAX_ACTS:
            self._reading.acts.append(act)

    def line(self, text: str) -> None:
        if self._depth > MAX_DEPTH or len(text) > MAX_TEXT:
            self._act(_OPAQUE)
            return
        command: list[Word] = []
        files: list[str] = []
        piped = follows = False  # follows: the next word is where a redirection leads
        try:
            for each in words_of(text):
                if isinstance(each, Substituted):
                    _Reader(self._reading, self._depth + 1).line(each.text)
                elif isinstance(each, Word):
                    if follows:
                        files.append(f"file {each.text}")
                        follows = False
                    else:
                        command.append(each)
                elif each is Operator.REDIRECT:
                    follows = True
                    piped = True
                else:
                    self._command(command, files, piped=piped)
                    command, files = [], []
                    piped, follows = each is Operator.PIPE, False
        except Unfinished:
            self._reading.complete = False
            if self._depth:
                self._act(_OPAQUE)
        self._command(command, files, piped=piped)

    def _command(self, words: list[Word], files: list[str], *, piped: bool) -> None:
        at = 0
        while at < len(words):
            word = words[at]
            plain = word.text if not word.quoted else ""
            if plain in _LISTS or plain in _ENDS:
                return
            timed = plain == "-p" and at and words[at - 1].text == "time"
            if not timed and plain not in _RESERVED and (word.quoted or not _ASSIGNMENT.match(plain)):
                break
            at += 1
        if at < len(words):
            self._program(words[at:], files, piped=piped)
        elif files:
            self._act(Act("", tuple(files)))

    def _program(self, words: list[Word], files: list[str], *, piped: bool) -> None:
        first, rest = words[0], words[1:]
        if first.dynamic or not first.text:
            self._act(_OPAQUE)
            return
        name = posixpath.basename(first.text) or first.text
        opaque = (
            name in _SCRIPTS
            or name in _DEFINES
            or (bool(rest) and rest[0].text == "()" and not rest[0].quoted)
        )
        if _INTERPRETERS.match(name):
            # By itself at a terminal it reads what is typed, which is looked at then.
            opaque = opaque or piped or bool(rest)
        self._act(Act(name, tuple(files), opaque=opaque))
        if name in _SHELLS:
            self._shell(rest, piped=piped)
        elif name == "eval":
            self._text(rest)
        elif name in ("su", "runuser"):
            self._after_c(rest)
        elif name == "find":
            for n, word in enumerate(rest):
                if word.text in _FIND:
                    self._command(rest[n + 1 :], [], piped=piped)
        elif name in _WRAPPERS:
            self._wrapped(name, rest, piped=piped)

    def _shell(self, rest: list[Word], *, piped: bool) -> None:
        if any(re.fullmatch(r"-\w*c\w*", word.text) for word in rest):
            self._after_c(rest)
        elif piped or any(not word.text.startswith("-") for word in rest):
            self._act(_OPAQUE)

    def _after_c(self, rest: list[Word]) -> None:
        """Read the command line behind `-c`."""
        for n, word in enumerate(rest[:-1]):
            if re.fullmatch(r"-\w*c\w*|--command", word.text):
                following = next((each for each in rest[n + 1 :] if not each.text.startswith("-")), None)
                self._text([] if following is None else [following])
                return
        if any(word.text.startswith("--command=") or re.match(r"-\w*c.", word.text) for word in rest):
            self._act(_OPAQUE)

    def _text(self, words: list[Word]) -> None:
        if any(word.dynamic for word in words):
            self._act(_OPAQUE)
        else:
            _Reader(self._reading, self._depth + 1).line(" ".join(word.text for word in words))

    def _wrapped(self, name: str, rest: list[Word], *, piped: bool) -> None:
        valued, skip = _WRAPPERS[name]
        at = 0
        while at < len(rest):
            text = rest[at].text
            if rest[at].dynamic or text in ("-S", "--split-string", "-c", "--command"):
                self._act(_OPAQUE)
                return
            at += 1
            if text == "--":
                break
            if text.startswith("--"):
                # Whether a long option's value is a word of its own is its program's secret.
                if "=" not in text and at < len(rest):
                    self._act(_OPAQUE)
            elif text.startswith("-") and len(text) > 1:
                at += text[-1] in valued
            elif name in ("env", "sudo", "doas") and _ASSIGNMENT.match(text):
                continue
            elif skip:
                skip -= 1
            else:
                at -= 1
                break
        if at < len(rest):
            self._command(rest[at:], [], piped=piped)
