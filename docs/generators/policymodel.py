"""What conditions of rules may speak of, from the model that checks them."""

from __future__ import annotations

from typing import Final

from docs.generators.pages import page, table
from recgate.policy.narrowing import ORDINARY
from recgate_policy_cel import checking, judging, syntax
from recgate_policy_cel.model import FIELDS, KINDS, ROOTS, Nature

__all__ = ["policy_model_page"]

_WORDS: Final = {
    "principal": "Who is asking. Settled when a session opens, and anew when groups have changed.",
    "target": "Where they are. Settled when a session opens.",
    "session": (
        "The session so far. Counters are compared with numbers in the rule, or are `in` a list of them. Rows and "
        "bytes are judged\nas they flow, at the very row; other counters when a request comes."
    ),
    "request": 'What is asked for now. A field of another kind of request has its zero value: `""`, 0, false, [].',
}

INTRODUCTION: Final = f"""
A rule of `policies:` has a condition in [CEL](https://cel.dev): `when:`. It may speak of four things, below. Names
and types are checked when the configuration is read; a word that is not here is refused with the nearest that is.

**Which part of CEL.** Strings, whole numbers, `true`, `false`, lists; `&&` `||` `!` `?:` `==` `!=` `<` `<=` `>`
`>=` `in`; `size`, `contains`, `startsWith`, `endsWith`, `matches` (RE2, a pattern in the rule itself),
`list.exists(x, …)`, `list.all(x, …)`, `has(target.labels.x)`. No arithmetic, no maps, no null. Conditions are at
most {syntax.MAX_TEXT} characters long, lists {syntax.MAX_ITEMS}, patterns {
    checking.MAX_REGEX
}; `exists` does not
stand in another.

**Acts.** A request may do several things: the statements of a batch, and those inside of statements. A rule is
judged for every act by itself, and matches the request if it matches one of them.

**Opaque acts.** What cannot be read from a request's text (a `DO` block, an unknown function, text that does not
parse) makes an act opaque. Rules that deny, hold or demand something then take facts (marked *fact*) for the worst
that they could be: `request.kind == "sql" && request.verb == "DROP"` matches an opaque statement, and does not
match a shell command. `opaque: ignore` in the rule judges it by what is known instead; alerts do so unless they say
`opaque: match`.

**Bounds.** A request with more than {judging.MAX_ACTS} acts, an act with more than {
    judging.MAX_FACTS
} names, or a
text of more than {
    judging.MAX_JUDGED
} characters is refused where a rule would have to look at it. Anything that
goes wrong while a rule is judged refuses the request and names the rule.

**Kinds.** {", ".join(f"`{kind}`" for kind in KINDS)}. A target's `allow:` is the allow for {
    ", ".join(f"`{kind}`" for kind in KINDS if kind in ORDINARY)
}; the others need one in the target's options besides. No rule can allow what
a target does not. """


def policy_model_page() -> str:
    """The page, a table for each of the four."""
    parts = [f"## {root}\n\n{_WORDS[root]}\n\n{_table(root)}" for root in ROOTS]
    return page("Policy model", INTRODUCTION, *parts)


def _table(root: str) -> str:
    fields = [field for field in FIELDS.values() if field.root == root]
    notes = {Nature.FACT: "fact", Nature.COUNTER: "counter"}
    rows = [
        (f"`{field.path}`", f"`{field.type}`", notes.get(field.nature, ""), field.meaning) for field in fields
    ]
    return table(("field", "type", "", "meaning"), rows)
