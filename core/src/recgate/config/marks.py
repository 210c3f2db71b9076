"""Read YAML into plain data and remember on which line every key stands, so that an error can name it.

Only the plain core of YAML 1.2 is read: no tags (a tag can name a Python object), `true` and `false` are the
only booleans (`tls: off` is the word *off*), and what anchors expand to is bounded ("billion laughs").
"""

from __future__ import annotations

import re
from typing import Final, cast

import yaml

from recgate.config.problems import KeyPath, Problems

__all__ = ["MAX_FILE", "Scalar", "read_yaml"]

MAX_FILE: Final = 4 << 20  # bytes; a thousand targets with all their options are about 300 kB
MAX_DEPTH: Final = 32
MAX_NODES: Final = 200_000  # after expansion of aliases

Scalar = str | int | float | bool | None

_INT: Final = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT: Final = re.compile(r"[-+]?([0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})([eE][-+]?[0-9]{1,3})?\Z")
_WORDS: Final[dict[str, Scalar]] = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip


class _Composer(yaml.SafeLoader):
    """Composes nodes without building objects; refuses tags and deep nesting while it reads."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("yaml.NodeEvent", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise yaml.MarkedYAMLError(
                problem=f"the tag {tag!r} is not allowed", problem_mark=event.start_mark
            )
        if self.depth >= MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} levels of nesting"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_yaml(text: str, problems: Problems) -> object:
    """Give the document as dicts, lists and scalars; lines go into `problems.lines`, faults into `problems`.

    A fault of syntax ends the reading and gives None; duplicate keys are noted and reading goes on.
    """
    if len(text) > MAX_FILE:
        problems.add((), f"longer than {MAX_FILE} characters", "Split it, or generate less of it")
        return None
    try:
        node = _Composer(text).get_single_node()
        if node is None:
            return {}
        return _Builder(problems).build(node, (), 0)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        what = exc.problem or exc.context or "this is not YAML"
        problems.add((), f"not readable as YAML: {what}", line=mark.line + 1 if mark else 1)
    except yaml.YAMLError as exc:
        problems.add((), f"not readable as YAML: {str(exc)[:200]}")
    return None


class _Builder:
    """Turns nodes into plain data."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> object:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            problem = "anchors and aliases expand to more than a configuration can hold"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        self.problems.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, n), depth + 1) for n, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.add(path, "a key must be a word", "Quote it, or indent what follows", line=line)
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in result:
                first = self.problems.lines.get(here, line)
                self.problems.add(
                    here, f"the key stands here twice, first on line {first}", "Keep one", line=line
                )
                continue
            if key == "<<":
                remedy = "Write the keys out, or use an alias as a whole value"
                self.problems.add(here, "merge keys are not part of YAML 1.2", remedy, line=line)
                continue
            self.problems.lines[here] = line
            result[key] = self.build(value_node, here, depth + 1)
        return result


def _scalar(node: yaml.Node) -> Scalar:
    text = str(node.value)
    if getattr(node, "style", None):  # quoted, literal or folded: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
