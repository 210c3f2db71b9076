"""What a scrape sees: the gateway's counters and gauges, declared in one place so that names stay stable.

Labels are protocols, targets and reason words: never a principal, an address or anything a peer chose.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = [
    "AGENTS",
    "AGENT_DIALS",
    "AGENT_STREAMS",
    "AUDIT_DROPPED",
    "AUDIT_FAILED",
    "BYTES",
    "CONNECTIONS",
    "DECISIONS",
    "LOGINS",
    "LOGIN_ADDRESSES_WAITING",
    "LOGIN_NAMES_GUESSED",
    "LOGIN_SECONDS",
    "REFUSED",
    "REGISTRY",
    "SESSIONS",
    "SESSIONS_LIVE",
    "WITNESSED",
    "WITNESS_ANSWERS",
    "WITNESS_COSIGNED",
    "WITNESS_REFUSED",
    "exposition",
]

REGISTRY = CollectorRegistry()

CONNECTIONS = Counter("recgate_connections", "Connections accepted", ["protocol"], registry=REGISTRY)
REFUSED = Counter(
    "recgate_connections_refused", "Connections refused at the door", ["protocol", "why"], registry=REGISTRY
)
LOGINS = Counter("recgate_logins", "Login attempts by outcome", ["protocol", "outcome"], registry=REGISTRY)
LOGIN_ADDRESSES_WAITING = Gauge(
    "recgate_login_addresses_waiting",
    "Addresses not heard now for having failed too often",
    registry=REGISTRY,
)
LOGIN_NAMES_GUESSED = Gauge(
    "recgate_login_names_guessed", "Names that were guessed at too often lately", registry=REGISTRY
)
LOGIN_SECONDS = Histogram(
    "recgate_login_seconds",
    "Accept to open session",
    ["protocol"],
    registry=REGISTRY,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 20),
)
SESSIONS = Counter("recgate_sessions", "Sessions ended", ["protocol", "reason"], registry=REGISTRY)
SESSIONS_LIVE = Gauge("recgate_sessions_live", "Sessions open now", ["protocol"], registry=REGISTRY)
DECISIONS = Counter(
    "recgate_decisions", "Requests refused or held", ["protocol", "effect"], registry=REGISTRY
)
BYTES = Counter(
    "recgate_forwarded_bytes",
    "Bytes forwarded, counted when a session ends",
    ["protocol", "side"],
    registry=REGISTRY,
)
AUDIT_DROPPED = Counter(
    "recgate_audit_dropped", "Audit events an observer's full queue dropped", ["observer"], registry=REGISTRY
)
AUDIT_FAILED = Counter(
    "recgate_audit_failed", "Audit events an observer failed to take", ["observer"], registry=REGISTRY
)
AGENTS = Gauge("recgate_agents_connected", "Agents in private networks that are connected", registry=REGISTRY)
AGENT_STREAMS = Gauge(
    "recgate_agent_streams", "Connections to targets that agents carry now", registry=REGISTRY
)
AGENT_DIALS = Counter(
    "recgate_agent_dials",
    "What agents were asked to connect to, by how it went: connected, refused, unanswered, busy",
    ["outcome"],
    registry=REGISTRY,
)

WITNESSED = Gauge(
    "recgate_witnessed_time_seconds",
    "When each configured witness last vouched for the ledger, in seconds since 1970; 0 for never",
    ["witness"],
    registry=REGISTRY,
)
WITNESS_ANSWERS = Counter(
    "recgate_witness_answers",
    "What witnesses answered the gateway: cosigned, refused, silent",
    ["witness", "answer"],
    registry=REGISTRY,
)
WITNESS_COSIGNED = Counter(
    "recgate_witness_cosigned", "Heads of logs that this witness cosigned", registry=REGISTRY
)
WITNESS_REFUSED = Counter(
    "recgate_witness_refused",
    "Heads that this witness refused because they do not follow from what their log signed before",
    registry=REGISTRY,
)


def exposition() -> bytes:
    """Give all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
