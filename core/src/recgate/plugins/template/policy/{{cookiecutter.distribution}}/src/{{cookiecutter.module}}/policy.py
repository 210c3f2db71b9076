"""Refuse statements by their verb, on targets that carry a label."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from recgate.config.values import Settings
from recgate.decisions import ALLOW, Decision
from recgate.policy import acts_of
from recgate.providers import PolicyRequest

__all__ = ["VerbPolicy", "VerbSettings"]

Verb = Annotated[str, Field(pattern=r"\A[A-Z]+( [A-Z]+)*\z")]


class VerbSettings(Settings):
    """The options behind the word.

    Attributes:
        verbs: upper-case, as the page on SQL facts lists them.
        label: `key=value` that a target must have; without it every target counts.
        message: what whoever is refused reads.
    """

    verbs: Annotated[tuple[Verb, ...], Field(min_length=1)]
    label: Annotated[str, Field(pattern=r"\A([^=]+=[^=]*)?\z")] = ""
    message: Annotated[str, Field(min_length=1)] = "This is not done here."


class VerbPolicy:
    """One entry of the configuration. Implements `recgate.providers.Policy`."""

    name = "{{ cookiecutter.word }}"

    def __init__(self, settings: VerbSettings) -> None:
        self._verbs = frozenset(settings.verbs)
        self._key, _, self._value = settings.label.partition("=")
        self._message = settings.message

    def decide(self, request: PolicyRequest) -> Decision:
        """Deny what does one of the verbs, or may: an act that cannot be read could do anything."""
        if request.request.kind != "sql" or not self._speaks_of(request):
            return ALLOW
        for act in acts_of(request.request):
            if act.opaque or act.verb in self._verbs:
                return Decision.deny(self._message, rule=self.name)
        return ALLOW

    def _speaks_of(self, request: PolicyRequest) -> bool:
        return not self._key or request.target.labels.get(self._key, "") == self._value
