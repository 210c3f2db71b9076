"""What a rule does when it matches: `then:`, in the words that every engine shares.

A word (`allow`, `deny`, `alert`), or a map that says more: `{hold: {approvers: […]}}`, `{allow: {session_time: 1h}}`.
What no part of this build enforces is refused when the configuration is read: ignoring it would be a plain allow.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from recgate.config.values import Duration, Settings

__all__ = [
    "RULE_NAME",
    "Demands",
    "Hold",
    "Then",
]

# A rule's name stands in refusals, audit events and search terms.
RULE_NAME: Final = r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z"
MAX_APPROVERS: Final = 100
MAX_HOLD: Final = 86_400.0  # seconds: a connection that waits for longer is an access request
MAX_NAME: Final = 200  # characters of a user or group
MAX_MASKS: Final = 100


def _approver(text: str) -> str:
    kind, colon, name = text.partition(":")
    if not colon or kind not in ("user", "group"):
        raise ValueError("should be `user:NAME` or `group:NAME`")
    if not name or name != name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise ValueError("names somebody with blanks around, unprintable characters, or nobody")
    return text


class Hold(Settings):
    """`hold:` — who may approve, for how long it waits, and how many must."""

    approvers: tuple[Annotated[str, AfterValidator(_approver)], ...] = Field(
        min_length=1, max_length=MAX_APPROVERS, description="`user:NAME` or `group:NAME`; never the requester"
    )
    timeout: Annotated[Duration, Field(gt=0, le=MAX_HOLD)] = 600.0
    of: int = Field(default=1, ge=1, le=MAX_APPROVERS, description="how many of them must approve")

    @field_validator("of")
    @classmethod
    def _possible(cls, of: int, info: ValidationInfo) -> int:
        named = set(cast("tuple[str, ...]", info.data.get("approvers", ())))
        # A group may have any number of people in it; users alone are counted.
        if named and all(name.startswith("user:") for name in named) and of > len(named):
            raise ValueError(f"`of: {of}` can never be met by {len(named)} users")
        return of


class Demands(Settings):
    """`allow:` with what it demands. `session_time` counts from the session's opening.

    What a protocol cannot meet refuses what was to be allowed: an allow whose conditions nobody enforces would be a
    plain allow.
    """

    session_time: Annotated[Duration, Field(gt=0)] | None = None
    reason: Literal["required"] | None = None
    max_rows: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="rows that one statement may give; an error comes behind them",
    )
    read_only: Literal[True] | None = Field(
        default=None,
        description="the target itself refuses to write, and nothing that would let it is passed on",
    )
    masks: tuple[Annotated[str, Field(pattern=RULE_NAME)], ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_MASKS,
        description="names of `masks:` that apply besides those of the target, whoever it is",
    )

    @model_validator(mode="before")
    @classmethod
    def _enforced(cls, value: object) -> object:
        if value == {}:
            raise ValueError("demands nothing. Write `then: allow`, or say what it demands")
        return value

    def obligations(self) -> dict[str, object]:
        """Give what is demanded in the shape of `Decision.obligations`."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


def _schema(schema: dict[str, Any]) -> None:
    properties = cast("dict[str, object]", schema.get("properties", {}))
    words = {"enum": ["allow", "deny", "alert"]}
    maps = [
        {
            "type": "object",
            "additionalProperties": False,
            "required": [key],
            "properties": {key: properties[key]},
        }
        for key in ("hold", "allow")
    ]
    schema.clear()
    schema["anyOf"] = [words, *maps]


class Then(Settings):
    """One effect. `effect` is the word; `hold` and `allow` say more where the word has more to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_schema)

    effect: Literal["allow", "deny", "alert", "hold"]
    hold: Hold | None = None
    allow: Demands | None = None

    @model_validator(mode="before")
    @classmethod
    def _worded(cls, value: object) -> object:
        if isinstance(value, str):
            if value == "hold":
                raise ValueError('a hold says who may approve: `{hold: {approvers: ["group:…"]}}`')
            if value not in ("allow", "deny", "alert"):
                raise ValueError("should be allow, deny, alert, `{hold: {…}}` or `{allow: {…}}`")
            return {"effect": value}
        if isinstance(value, dict):
            words = list(cast("dict[str, object]", value))
            if words not in (["hold"], ["allow"]):
                raise ValueError("should be one word, `{hold: {approvers: […]}}` or `{allow: {…}}`")
            return {"effect": words[0], words[0]: cast("dict[str, object]", value)[words[0]] or {}}
        return value

    @property
    def obligations(self) -> dict[str, object]:
        """What an allow demands; nothing for other effects."""
        return self.allow.obligations() if self.allow is not None else {}
