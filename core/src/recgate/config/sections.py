"""The sections that the core itself understands, as frozen models; and the whole as one value."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from recgate.config.values import Bind, ConfiguredPath, Duration, Network, Settings, Size, check_host
from recgate.config.witnesses import SilenceSettings, WitnessSettings
from recgate.mask.columns import ColumnPattern
from recgate.mask.replacing import Becomes
from recgate.model import Principal, TargetInfo
from recgate.recipients.bech import BadText
from recgate.recipients.escrow import MAX_HOLDERS, MIN_THRESHOLD
from recgate.recipients.keys import Recipient
from recgate.recipients.wrapping import MAX_RECIPIENTS
from recgate.retention.rules import RetentionRules

__all__ = [
    "AccessOnRequest",
    "Configuration",
    "CredentialName",
    "GatewaySettings",
    "GatewayTls",
    "JsonlSettings",
    "LimitSettings",
    "ListenerKeys",
    "ListenerSettings",
    "ListenerTls",
    "LogSettings",
    "MaskSettings",
    "MetricsOptions",
    "PluginEntry",
    "RecordingSettings",
    "RetentionSettings",
    "SignInDemand",
    "TargetKeys",
    "TargetSettings",
    "named",
]

ListenerTls = Literal["require", "allow", "off"]
Wait = Annotated[Duration, Field(gt=0)]  # a wait of nothing would refuse everything

_GATEWAY_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")


def named(principal: Principal, names: Sequence[str]) -> bool:
    """Say whether `user:NAME` and `group:NAME` name somebody or one of their groups, exactly."""
    if f"user:{principal.name}" in names:
        return True
    return any(f"group:{group}" in names for group in principal.groups)


def _gateway_name(name: str) -> str:
    if not _GATEWAY_NAME.match(name):
        raise ValueError("should be a host-like name: letters, digits, dot, dash, at most 63 characters")
    return name


def _default_name() -> str:
    """The machine's own name: recordings of several gateways must be told apart."""
    name = socket.gethostname()[:63]
    return name if _GATEWAY_NAME.match(name) else "recgate"


def _one_worker(workers: int) -> int:
    if workers != 1:
        raise ValueError("this build runs one worker; set it to 1 or remove it")
    return workers


class GatewayTls(Settings):
    """Certificate chain and private key (PEM) of the operator's own."""

    certificate: ConfiguredPath
    key: ConfiguredPath


class GatewaySettings(Settings):
    """`gateway:` — who this gateway is and where it keeps what is its own."""

    name: Annotated[str, AfterValidator(_gateway_name)] = Field(default_factory=_default_name)
    data_dir: ConfiguredPath = Path("recgate-data")
    hosts: tuple[Annotated[str, AfterValidator(check_host)], ...] = Field(
        default=(), description="further names and addresses that people reach it by"
    )
    tls: GatewayTls | None = None
    workers: Annotated[int, AfterValidator(_one_worker)] = 1


class LogSettings(Settings):
    """`log:` — `auto` is for people on a terminal and JSON elsewhere."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class LimitSettings(Settings):
    """`limits:` — every wait and every count that an operator may want to set."""

    max_sessions: int = Field(default=5_000, ge=1, le=1_000_000)
    dial_timeout: Wait = 10.0
    vault_timeout: Wait = 15.0
    # How long what a target's catalog said is relied on, where nothing that passed through the gateway has changed it.
    catalog_age: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    shutdown_timeout: Wait = 30.0
    # 30 s is the longest that a revoked credential may go on working (threat 6).
    recheck: Annotated[Duration, Field(gt=0, le=30)] = 10.0
    idle_timeout: Wait | None = None
    session_timeout: Wait | None = None


def _public_key(text: str) -> str:
    try:
        return Recipient.parse(text).text
    except BadText as exc:
        # Without what was written: it may be the private key.
        raise ValueError(f"{exc}. Give what `recgate auditor new` printed, rgpub1…") from None


def _once_each(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(texts)) != len(texts):
        raise ValueError("names one key twice. Take one of them out")
    return texts


def _whose(given: object) -> object:
    if given == "sealed":
        raise ValueError(
            "does not say to whom. Write `originals: {seal_to: [rgpub1…, rgpub1…], threshold: 2}`"
        )
    return given


class OriginalsSettings(Settings):
    """`originals:` where they are kept — to whom the values are sealed that masks remove.

    Attributes:
        seal_to: public keys (`recgate auditor new`) of people who open originals together.
        threshold: how many of them it takes.
    """

    seal_to: Annotated[
        tuple[Annotated[str, AfterValidator(_public_key)], ...],
        AfterValidator(_once_each),
        Field(min_length=MIN_THRESHOLD, max_length=MAX_HOLDERS),
    ]
    threshold: int = Field(default=MIN_THRESHOLD, ge=MIN_THRESHOLD, le=MAX_HOLDERS)

    @model_validator(mode="after")
    def _enough(self) -> OriginalsSettings:  # noqa: N804 - an "after" validator has the model
        if self.threshold > len(self.seal_to):
            raise ValueError(
                f"threshold {self.threshold} is more people than `seal_to` names. Name more, or lower it"
            )
        return self

    @property
    def holders(self) -> tuple[Recipient, ...]:
        """Who holds a share."""
        return tuple(Recipient.parse(text) for text in self.seal_to)


class RetentionSettings(Settings):
    """`recording: {retention: …}` — how long recordings are kept after their end; what is not said is kept for good."""

    default: Wait | None = None
    labels: dict[str, dict[str, Wait]] = Field(
        default={}, description="by the name and the value of a target's label, in place of the default"
    )

    @property
    def rules(self) -> RetentionRules:
        """The same as a value that decides."""
        return RetentionRules(self.default, self.labels)


class RecordingSettings(Settings):
    """`recording:` without its store, which is `Configuration.store`.

    Attributes:
        durability: `synced` forwards nothing that a power cut could take out of the recording.
        seal_to: public keys of auditors (`recgate auditor new`); with any, the gateway cannot read what it has sealed.
        index: what the search index holds; `text`, and with `seal_to` `facts` unless it is set.
        index_values: bind values and result rows are indexed, too; with `text` only.
        originals: what becomes of the values that masks remove: gone, or sealed to people who open them together.
        backlog: bytes that may wait for the store before nothing more is read.
        witnesses: who vouches for the ledger's heads.
        witness_silence: what is done when one of them does not.
        retention: how long recordings are kept; for good, unless it says otherwise.
    """

    durability: Literal["written", "synced"] = "written"
    seal_to: Annotated[
        tuple[Annotated[str, AfterValidator(_public_key)], ...],
        AfterValidator(_once_each),
        Field(max_length=MAX_RECIPIENTS),
    ] = ()
    index: Literal["text", "facts", "off"] = "text"
    index_values: bool = False
    originals: Annotated[Literal["discard"] | OriginalsSettings, BeforeValidator(_whose)] = "discard"
    backlog: Size = 1 << 30
    witnesses: Annotated[tuple[WitnessSettings, ...], Field(max_length=16)] = ()
    witness_silence: SilenceSettings = SilenceSettings()
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="before")
    @classmethod
    def _index_of_the_sealed(cls, given: object) -> object:
        """What was sealed away from the gateway must not lie in its index, unless somebody says so."""
        if isinstance(given, dict):
            keys = cast("dict[str, object]", given)
            if keys.get("seal_to") and "index" not in keys:
                return {**keys, "index": "facts"}
        return cast("object", given)

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Whom segments are sealed to; nobody if there are none, and then they are in clear."""
        return tuple(Recipient.parse(text) for text in self.seal_to)


class ListenerKeys(Settings):
    """The keys of a listener that the core reads; the protocol's own stand beside them."""

    protocol: str
    bind: str
    tls: ListenerTls | None = None
    max_connections: int = Field(default=1_000, ge=1, le=1_000_000)
    handshake_timeout: Annotated[Duration, Field(gt=0, le=300)] = 20.0
    proxy_protocol_from: tuple[Network, ...] = ()


class SignInDemand(Settings):
    """`require:` of a target — how, and how lately, somebody must have signed in (step-up, RFC 9470).

    Attributes:
        acr: one of these authentication contexts (OpenID Connect Core §2).
        amr: all of these methods (RFC 8176), such as `mfa`.
        max_age: the longest that the sign-in itself may be past.
    """

    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    max_age: Wait | None = None


class AccessOnRequest(Settings):
    """`request:` of a target — who may be granted access for a time, by whom, and for how long at most.

    Attributes:
        approvers: who may approve, `user:NAME` or `group:NAME`; never whoever asks.
        of: how many of them must.
        users: who may ask, likewise; without any, everybody who is signed in.
        max: the longest that access is granted for.
        timeout: how long a request waits to be decided.
    """

    approvers: tuple[str, ...] = Field(min_length=1, max_length=100)
    of: int = Field(default=1, ge=1, le=100)
    users: tuple[str, ...] = ()
    max: Annotated[Duration, Field(gt=0, le=31 * 86_400)] = 28_800.0
    timeout: Annotated[Duration, Field(gt=0, le=31 * 86_400)] = 86_400.0

    def open_to(self, principal: Principal) -> bool:
        """Say whether somebody may ask."""
        return not self.users or named(principal, self.users)


class TargetKeys(Settings):
    """The keys of a target that the core reads; `options` belong to the protocol."""

    name: str
    protocol: str
    address: str
    options: dict[str, object] = Field(default_factory=dict[str, object])
    credential: str | None = None
    catalog_credential: str | None = None
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    allow: tuple[str, ...] = ()
    via: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\z")] | None = None
    require: SignInDemand = SignInDemand()
    request: AccessOnRequest | None = None


class MetricsOptions(Settings):
    """The `metrics` listener has no keys of its own."""


class JsonlSettings(Settings):
    """`observers: [{jsonl: {…}}]` — audit events as JSON lines; by default in `data_dir/audit.jsonl`."""

    path: ConfiguredPath | None = None


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """One `word: {…}` of a section, with the options as the plugin's own frozen model."""

    word: str
    options: BaseModel


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One listener. `options` is the protocol's `listener_options` model."""

    protocol: str
    host: str
    port: int
    tls: ListenerTls
    options: BaseModel
    max_connections: int = 1_000
    handshake_timeout: float = 20.0
    proxy_protocol_from: tuple[Network, ...] = ()

    @property
    def bind(self) -> Bind:
        """Where it listens; port 0 picks a free one."""
        return Bind(self.host, self.port)

    @property
    def name(self) -> str:
        """What logs and metrics call it."""
        return f"{self.protocol}@{self.bind}"


@dataclass(frozen=True, slots=True)
class CredentialName:
    """`credential: VAULT:PATH` taken apart."""

    vault: str
    path: str

    def __str__(self) -> str:
        return f"{self.vault}:{self.path}"


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """One target: where it is, what opens it, and for whom."""

    info: TargetInfo
    credential: CredentialName | None = None
    allow: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    require: SignInDemand = field(default_factory=SignInDemand)
    catalog_credential: CredentialName | None = None
    request: AccessOnRequest | None = None

    def allows(self, principal: Principal) -> bool:
        """Say whether `allow:` names this principal or one of its groups, exactly. Empty means nobody."""
        return named(principal, self.allow)


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """One mask: what it looks for (`parts`, each a plugin's own model), where, and what becomes of it.

    `columns` is what it masks by origin. `targets` are labels that a target must have, each one of the values given;
    `exempt` is `except:`, `input` what is done about the same in what is sent.
    """

    name: str
    parts: tuple[PluginEntry, ...]
    becomes: Becomes = Becomes.REDACT
    keep: int = 0
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    exempt: tuple[str, ...] = ()
    columns: tuple[ColumnPattern, ...] = ()
    untraced: Literal["refuse", "mask"] = "refuse"
    predicates: Literal["allow", "refuse"] = "allow"
    functions: tuple[str, ...] = ()
    input: Literal["ignore", "watch", "block"] = "ignore"

    def covers(self, target: TargetInfo) -> bool:
        """Say whether a target has the labels; without any demanded, every target does."""
        return all(target.labels.get(label) in values for label, values in self.targets.items())

    def spares(self, principal: Principal) -> bool:
        """Say whether `except:` names this principal or one of its groups, exactly."""
        return named(principal, self.exempt)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything in force. `plugins` are entry-point names that it needs, `digest` hex SHA-256 of it all."""

    source: Path | None
    gateway: GatewaySettings
    listeners: tuple[ListenerSettings, ...]
    identity: tuple[PluginEntry, ...]
    vaults: tuple[PluginEntry, ...]
    targets: Mapping[str, TargetSettings]
    recording: RecordingSettings
    store: PluginEntry
    catalog: PluginEntry
    search: PluginEntry
    observers: tuple[PluginEntry, ...]
    log: LogSettings
    limits: LimitSettings
    plugins: tuple[str, ...]
    digest: str
    policies: tuple[PluginEntry, ...] = ()
    masks: tuple[MaskSettings, ...] = ()
    approvals: PluginEntry | None = None
    keys: PluginEntry | None = None

    @property
    def data_dir(self) -> Path:
        """Where the gateway keeps what is its own."""
        return self.gateway.data_dir

    def keeper_options(self, word: str) -> BaseModel | None:
        """Give the options of `gateway: keys:` if `word` is what stands there."""
        return self.keys.options if self.keys is not None and self.keys.word == word else None

    def options_of(
        self, section: Literal["identity", "vaults", "observers", "policies"], word: str
    ) -> tuple[BaseModel, ...]:
        """Give the options of every entry that `word` stands for in a section, in configured order."""
        entries: tuple[PluginEntry, ...] = getattr(self, section)
        return tuple(entry.options for entry in entries if entry.word == word)
