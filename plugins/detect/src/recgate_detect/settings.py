"""The keys of a mask that this plugin reads: `detect`, `patterns` and `deny`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from recgate.config.problems import suggestion
from recgate.config.values import Settings
from recgate_detect.engine import BadPattern, compiled
from recgate_detect.rules import Rule, deny_rule, expand, own_rule, unanchored, words

__all__ = ["ContentSettings"]

MAX_PATTERNS: Final = 100
MAX_PATTERN: Final = 1_000  # characters
MAX_DENIED: Final = 2_000  # phrases of one mask, which are one automaton
MAX_PHRASE: Final = 200

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


def _word(word: str) -> str:
    known = words()
    if word not in known:
        raise ValueError(f"nothing called `{word}` can be detected. {suggestion(word, known)}")
    return word


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("should have lower-case letters, digits, dash and underscore, at most 63")
    return name


def _pattern(pattern: str) -> str:
    if not pattern or len(pattern) > MAX_PATTERN:
        raise ValueError(f"should be a regular expression of at most {MAX_PATTERN} characters")
    try:
        found = compiled(pattern).search(b"")
        compiled(unanchored(pattern))
    except BadPattern as exc:
        raise ValueError(f"is no regular expression that RE2 takes: {exc}") from None
    if found is not None:
        raise ValueError(
            "matches nothing at all as well, so it would be found everywhere: demand one character"
        )
    return pattern


def _phrase(phrase: str) -> str:
    if not phrase.strip() or len(phrase) > MAX_PHRASE or "\0" in phrase:
        raise ValueError(f"should be a word or phrase of at most {MAX_PHRASE} characters")
    return phrase


class ContentSettings(Settings):
    """What one mask looks for.

    Attributes:
        detect: rules of the plugin, or groups of them.
        patterns: regular expressions of your own (RE2 syntax) by the name that mask frames give them.
        deny: words and phrases, in capitals or not.
    """

    detect: Annotated[tuple[Annotated[str, AfterValidator(_word)], ...], Field(max_length=100)] = ()
    patterns: Annotated[
        Mapping[Annotated[str, AfterValidator(_name)], Annotated[str, AfterValidator(_pattern)]],
        Field(max_length=MAX_PATTERNS),
    ] = Field(default_factory=dict[str, str])
    deny: Annotated[tuple[Annotated[str, AfterValidator(_phrase)], ...], Field(max_length=MAX_DENIED)] = ()

    @model_validator(mode="after")
    def _something(self) -> ContentSettings:  # noqa: N804 - an "after" validator has the model
        if not self.rules():
            raise ValueError("looks for nothing: name something in `detect`, `patterns` or `deny`")
        return self

    def rules(self) -> list[Rule]:
        """Give the rules in their order: detectors, patterns, deny list."""
        rules = expand(self.detect)
        rules += [own_rule(name, pattern) for name, pattern in self.patterns.items()]
        if self.deny:
            rules.append(deny_rule(self.deny))
        return rules
