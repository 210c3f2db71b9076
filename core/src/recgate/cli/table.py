"""Which command is where: module, attribute, and the line of help that needs no import."""

from __future__ import annotations

from typing import Final

__all__ = ["COMMANDS"]

COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "auditor": (
        "recgate.cli.auditor",
        "auditor",
        "Keys of those whom recordings are sealed to.",
    ),
    "config": ("recgate.cli.config", "config", "Check the configuration, or print its JSON Schema."),
    "connect": ("recgate.cli.connect", "connect", "Bring a target to a local port, by your sign-in."),
    "demo": ("recgate.cli.demo", "demo", "Start a gateway with real targets behind it, to try it out."),
    "erase": ("recgate.cli.retention", "erase", "Erase a recording, visibly."),
    "export": ("recgate.cli.export", "export", "Write a recording as asciicast, csv or jsonl."),
    "index": ("recgate.cli.index", "index", "Index recordings that are sealed to you."),
    "keys": (
        "recgate.cli.keys",
        "keys",
        "The gateway's own keys: list, rotate, go on when they are lost.",
    ),
    "kill": ("recgate.cli.watch", "kill", "End a live session."),
    "ledger": (
        "recgate.cli.ledger",
        "ledger",
        "The log of recordings and acts: heads, entries, whether it holds.",
    ),
    "login": ("recgate.cli.login", "login", "Sign in at a gateway, by its identity provider."),
    "logout": ("recgate.cli.login", "logout", "End the sign-in, at the gateway and here."),
    "plugins": ("recgate.cli.plugins", "plugins", "Which plugins there are and what each provides."),
    "policy": (
        "recgate.cli.policy",
        "policy",
        "Look at rules before they decide: what is odd, what they would stop.",
    ),
    "reconcile": (
        "recgate.cli.reconcile",
        "reconcile",
        "Hold a target's own log against what was recorded.",
    ),
    "replay": ("recgate.cli.replay", "replay", "Play a recording in this terminal."),
    "requests": (
        "recgate.cli.requests",
        "requests",
        "What waits for approval; approve, deny, or ask for access.",
    ),
    "retention": (
        "recgate.cli.retention",
        "retention",
        "How long recordings are kept, and what keeps one longer.",
    ),
    "search": ("recgate.cli.search", "search", "Search over all recordings."),
    "serve": ("recgate.cli.serve", "serve", "Run the gateway."),
    "sessions": ("recgate.cli.sessions", "sessions", "List sessions."),
    "show": ("recgate.cli.show", "show", "Show a session's transcript."),
    "ssh": ("recgate.cli.sshclient", "ssh", "Run ssh to a target through the gateway's HTTPS port."),
    "targets": ("recgate.cli.targets", "targets", "What can be reached, and the line to type for each."),
    "unseal": ("recgate.cli.unseal", "unseal", "Open what a mask removed: it takes two people."),
    "verify": ("recgate.cli.verify", "verify", "Check recordings: complete, missing, altered, and where."),
    "watch": ("recgate.cli.watch", "watch", "Look into a live session."),
    "whoami": (
        "recgate.cli.whoami",
        "whoami",
        "Who you are at the gateway, until when, and what ends it sooner.",
    ),
    "witness": ("recgate.cli.witness", "witness", "Vouch for the ledgers of other gateways."),
}
