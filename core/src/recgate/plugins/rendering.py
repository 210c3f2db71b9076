"""Write a new plugin from the template: the same files that cookiecutter reads, and what it would write.

The template is data of this package, so that a gateway that was installed from wheels has it too; `plugin-template` in
the repository leads here. It keeps to what can be filled in without a template engine: `{{ cookiecutter.NAME }}`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from recgate.errors import PluginError

__all__ = ["KINDS", "render", "values"]

KINDS: Final = ("policy", "masker")

_DIRECTORY: Final = "{{cookiecutter.distribution}}"
_WORD: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_MAX_WORD: Final = 40
_PLACE: Final = re.compile(r"\{\{ ?cookiecutter\.([a-z]+) ?\}\}")
# Goes into TOML, a docstring and Markdown: what would end any of these cannot be in it.
_SUMMARY: Final = re.compile(r"[^\"\\\x00-\x1f\x7f{}]{1,120}\Z")
_SUMMARIES: Final = {"policy": "Refuses statements by their verb", "masker": "Finds staff numbers"}
# How the configuration finds the plugin behind a word: `policies: [{quiet: …}]` is the plugin `policy-quiet`.
_PREFIX: Final = {"policy": "policy-", "masker": ""}


def values(kind: str, word: str, summary: str = "") -> Mapping[str, str]:
    """Give what the template is filled in with.

    Args:
        kind: one of `KINDS`.
        word: what the configuration will call it.
        summary: one line about it; by default what the template does.

    Raises:
        PluginError: there is no such kind, or a word cannot be used.
    """
    if kind not in KINDS:
        raise PluginError(f"there is no template for a {kind}; there are: {', '.join(KINDS)}")
    plugin = _PREFIX[kind] + word
    module = f"recgate_{plugin.replace('-', '_')}"
    if not _WORD.match(word) or len(word) > _MAX_WORD or keyword.iskeyword(word):
        raise PluginError(
            f"{word!r} cannot be a plugin's name: lower-case letters and digits, words joined by dashes, "
            f"at most {_MAX_WORD} characters, such as change-freeze"
        )
    summary = summary or _SUMMARIES[kind]
    if not _SUMMARY.match(summary):
        raise PluginError(
            "the summary should be one line of at most 120 characters without quotes and braces"
        )
    return {
        "word": word,
        "summary": summary,
        "distribution": f"recgate-{plugin}",
        "plugin": plugin,
        "module": module,
    }


def render(kind: str, filled: Mapping[str, str], parent: Path) -> Path:
    """Write the plugin below `parent` and give its directory, which must not be there yet.

    Raises:
        PluginError: it is there.
        OSError: it cannot be written; what was written until then stays.
    """
    directory = parent / filled["distribution"]
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        raise PluginError(f"{directory} exists; remove it, or choose another name or --directory") from None
    template = resources.files("recgate.plugins") / "template" / kind / _DIRECTORY
    for place, source in _files(template, ()):
        path = directory.joinpath(*(_filled(part, filled) for part in place))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(source.read_text(encoding="utf-8"), filled), encoding="utf-8")
    return directory


def _files(directory: Traversable, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Traversable]]:
    for each in directory.iterdir():
        if each.is_dir():
            if each.name != "__pycache__":  # where an installer tried to compile what is no Python yet
                yield from _files(each, (*place, each.name))
        elif not each.name.endswith(".pyc"):
            yield (*place, each.name), each


def _filled(text: str, filled: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: filled[place[1]], text)
