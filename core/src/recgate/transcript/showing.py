"""An entry as lines for people: when, which, what, and below it what belongs to it. Everything is neutralised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

from recgate.transcript.columns import aligned, clipped
from recgate.transcript.entries import Entry
from recgate.transcript.neutral import neutralise
from recgate.transcript.reading import as_json
from recgate.transcript.results import Result, result_of
from recgate.transcript.withheld import withhold

__all__ = ["arranged", "clock", "commands_first", "entry_lines", "joined", "result_lines", "withheld"]

INDENT: Final = " " * 12
MAX_VALUE: Final = 400  # cells of one value in a line; `--json` has it whole
MAX_LINES: Final = 2_000  # of one text; a longer one goes on in `--json`
HELD_ROWS: Final = 2_000  # rows that wait for their statement; of more the statement stands behind them
HELD_ENTRIES: Final = (
    2_000  # entries that wait for the command that they belong to; of more it stands behind them,
)
HELD_TEXT: Final = 1 << 22  # and so many characters of them
JOINED_TIME: Final = 5_000_000  # µs of output that are shown as one
JOINED_TEXT: Final = 1 << 16  # characters of it
OPENED: Final = (
    "groups",
    "method",
    "credential",
    "address",
    "listener",
    "tls",
    "details",
    "labels",
    "reason",
)
HEADING: Final = ("n", "t", "side", "channel", "kind", "part")


def clock(t: int) -> str:
    """Write µs since the session opened as `m:ss.mmm`."""
    minutes, milliseconds = divmod(t // 1000, 60_000)
    return f"{minutes}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def withheld(entry: Entry) -> Entry:
    """Give the entry with the values of password literals in its texts replaced."""
    text = entry.body.get("text")
    shown = withhold(text) if isinstance(text, str) else text
    whole = withhold(entry.text)
    if shown == text and whole == entry.text:
        return entry
    body = {**entry.body, "text": shown}
    return Entry(
        entry.n, entry.t, entry.side, entry.channel, entry.kind, body, whole, entry.terms, entry.part
    )


def entry_lines(entry: Entry) -> Iterator[str]:
    """Give the lines of one entry, without line ends. Result rows, if the entry has them, are a table."""
    number = f"{entry.n}.{entry.part}" if entry.part else str(entry.n)
    first = f"{clock(entry.t):>10}  {number:>6}  {neutralise(entry.kind):<8}  "
    body = {key: value for key, value in as_json(entry).items() if key not in HEADING}
    if entry.kind == "screen" and entry.text:
        body["text"] = entry.text.rstrip("\n")  # without the terminal's own codes
    head, details = _SHAPES.get(entry.kind, _any)(body)
    lines = neutralise(head, lines=True).split("\n", MAX_LINES)
    yield (first + lines[0]).rstrip()
    for line in lines[1:MAX_LINES]:
        yield INDENT + line
    if len(lines) > MAX_LINES:
        yield f"{INDENT}… {lines[-1].count(chr(10)) + 1} lines more"
    for detail in details:
        yield INDENT + clipped(neutralise(detail), MAX_VALUE)
    if (result := result_of(entry)) is not None:
        yield from result_lines(result)


def joined(entries: Iterable[Entry], *, keys: bool = False) -> Iterator[Entry]:
    """Put what a terminal showed in one go into one entry, and leave out keys that it echoed, unless `keys`.

    A program without a terminal, and what was typed without an echo, stay as they are.
    """
    screen: Entry | None = None
    for entry in entries:
        if entry.kind == "key" and not keys and not entry.body.get("hidden") and "stream" not in entry.body:
            continue
        if screen is not None:
            if _goes_on(screen, entry):
                text = screen.text + entry.text
                screen = Entry(
                    screen.n, screen.t, 1, screen.channel, "screen", {**screen.body, "text": text}, text
                )
                continue
            yield screen
            screen = None
        if entry.kind == "screen" and entry.text:
            screen = entry
        else:
            yield entry
    if screen is not None:
        yield screen


def _goes_on(screen: Entry, entry: Entry) -> bool:
    return (
        entry.kind == "screen"
        and (entry.channel, entry.side) == (screen.channel, screen.side)
        and entry.body.get("stream") == screen.body.get("stream")
        and entry.t - screen.t < JOINED_TIME
        and len(screen.text) < JOINED_TEXT
    )


def arranged(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Put rows behind the statement that returned them, as one result, where they are few enough to wait for it."""
    held: list[Entry] = []
    count = 0
    for entry in entries:
        if entry.kind == "rows":
            result = result_of(entry)
            held.append(entry)
            count += len(result.rows) if result is not None else 0
            if count > HELD_ROWS:
                yield from held
                held.clear()
            continue
        count = 0 if entry.kind == "sql" else count
        yield entry
        if held and entry.kind == "sql":
            yield _whole(held)
            held.clear()
    yield from held


def commands_first(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Put what a program without a terminal read and wrote behind its command, which is known when it has ended."""
    held: list[Entry] = []
    waiting: set[int] = set()  # channels of such programs
    size = 0
    for entry in entries:
        if "stream" in entry.body:
            waiting.add(entry.channel)
        elif entry.kind == "shell" and not entry.body.get("typed"):
            waiting.discard(entry.channel)
        elif not waiting:
            yield entry
            continue
        held.append(entry)
        size += len(entry.text)
        if not waiting or len(held) >= HELD_ENTRIES or size >= HELD_TEXT:
            yield from sorted(held, key=_place)
            held.clear()
            waiting.clear()
            size = 0
    yield from sorted(held, key=_place)


def _place(entry: Entry) -> tuple[int, int]:
    return entry.n, entry.part


def _whole(parts: Sequence[Entry]) -> Entry:
    first = parts[0]
    results = [result for part in parts if (result := result_of(part)) is not None]
    rows = [row for result in results for row in result.rows]
    return Entry(
        first.n, first.t, first.side, first.channel, "rows", {**first.body, "rows": rows}, part=first.part
    )


def result_lines(result: Result) -> Iterator[str]:
    """Give a result as a table, the names first."""
    rows = [["" if value is None else str(value) for value in row] for row in result.rows]
    table = [list(result.columns), *rows] if result.columns else rows
    for number, line in enumerate(aligned(table, separator=" │ ")):
        yield f"{INDENT}{line}"
        if number == 0 and result.columns:
            yield INDENT + "─" * len(line)


Shape = Callable[[dict[str, object]], tuple[str, Sequence[str]]]


def _sql(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    details: list[str] = []
    binds = body.get("binds")
    if isinstance(binds, list) and binds:
        values = cast("list[object]", binds)
        details.append("  ".join(f"${n} = {_value(value)}" for n, value in enumerate(values, 1)))
    outcome: list[str] = []
    rows, took = body.get("rows"), body.get("duration_ms")
    tag = body.get("tag")
    if isinstance(rows, int) and (rows or not tag or str(tag)[-1:].isdigit()):
        outcome.append("1 row" if rows == 1 else f"{rows} rows")
    elif tag:
        outcome.append(str(tag))
    if isinstance(took, (int, float)):
        outcome.append(f"{took:g} ms")
    if outcome and not body.get("error"):
        details.append("→ " + ", ".join(outcome))
    if error := body.get("error"):
        details.append(
            f"→ ERROR {_words(error)}" + (f" ({took:g} ms)" if isinstance(took, (int, float)) else "")
        )
    if decision := body.get("decision"):
        details.append(f"→ {_words(decision)}")
    return str(body.get("text", "")), details


def _rows(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    rest = {key: value for key, value in body.items() if key not in ("rows", "columns")}
    return _words(rest), ()


def _shell(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    rest = {key: value for key, value in body.items() if key not in ("command", "exit", "typed")}
    details = [_words(rest)] if rest else []
    if (status := body.get("exit")) not in (None, 0):
        details.append(f"→ exit {_words(status)}")
    return str(body.get("command", "")), details


def _file(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    head = f"{body.get('direction', '')} {body.get('path', '')}".strip()
    if (size := body.get("size")) is not None:
        head += f"  {size} bytes"
    rest = {key: value for key, value in body.items() if key not in ("direction", "path", "size", "sha256")}
    details = [f"sha256 {body['sha256']}"] if body.get("sha256") else []
    return head, [*details, *([_words(rest)] if rest else [])]


def _typed(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    rest = {key: value for key, value in body.items() if key != "text"}
    return str(body.get("text", "")), [_words(rest)] if rest else []


def _decision(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    said = ": ".join(str(body[key]) for key in ("rule", "reason") if body.get(key))
    head = f"{body.get('effect', 'hold')} {body.get('request', '')}".strip()
    text = str(body.get("text", ""))
    return f"{head}  {text}".strip(), [said] if said else []


def _mask(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    count = body.get("count")
    times = f" \N{MULTIPLICATION SIGN}{count}" if isinstance(count, int) else ""
    place = f"  in {body['place']}" if body.get("place") else ""
    return f"{body.get('rule', '')}{times}{place}", ()


def _secret(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    text, _ = _mask(body)
    return f"{text}  {'kept from the target' if body.get('blocked') else 'sent'}", ()


def _opened(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    who = f"{body.get('user', '')} to {body.get('target', '')} from {body.get('source', '')}"
    return who, [_words({key: body[key] for key in OPENED if body.get(key)})]


def _closed(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    details = [f"{key} {_words(body[key])}" for key in ("exit", "error") if body.get(key)]
    for key, said in (("wire", "on the wire"), ("recorded", "recorded")):
        if sides := _sides(body.get(key)):
            details.append(f"{said}: {sides}")
    return str(body.get("reason", "")), details


def _sides(counters: object) -> str:
    """Write counters by side as `client 155 bytes, upstream 767 bytes`."""
    if not isinstance(counters, Mapping):
        return ""
    sides = cast("Mapping[str, object]", counters).items()
    sizes = {
        name: cast("Mapping[str, object]", side).get("bytes")
        for name, side in sides
        if isinstance(side, Mapping)
    }
    return ", ".join(f"{name} {size} bytes" for name, size in sizes.items() if size)


def _any(body: dict[str, object]) -> tuple[str, Sequence[str]]:
    return _words({key: value for key, value in body.items() if key != "rows" or isinstance(value, int)}), ()


_SHAPES: Final[dict[str, Shape]] = {
    "sql": _sql,
    "rows": _rows,
    "shell": _shell,
    "file": _file,
    "key": _typed,
    "screen": _typed,
    "decision": _decision,
    "held": _decision,
    "mask": _mask,
    "secret": _secret,
    "opened": _opened,
    "closed": _closed,
}


def _words(value: object) -> str:
    """Write any value in one line: a map as `key=value`, text as it is, the rest as JSON."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return "  ".join(f"{key}={_value(each)}" for key, each in items)
    return value if isinstance(value, str) else _value(value)


def _value(value: object) -> str:
    if isinstance(value, str) and value and not set(value) & set(" \t\n'\"="):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
