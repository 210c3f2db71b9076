"""The configuration: one YAML file, read into frozen values, or refused with all that is wrong with it."""

from recgate.config.changes import restart_needed
from recgate.config.files import ENVIRONMENT, find, load
from recgate.config.identity import SourceSettings, foreign_prefixes, merged_groups
from recgate.config.sections import (
    Configuration,
    CredentialName,
    GatewaySettings,
    JsonlSettings,
    LimitSettings,
    ListenerSettings,
    LogSettings,
    MaskSettings,
    MetricsOptions,
    PluginEntry,
    RecordingSettings,
    TargetSettings,
)
from recgate.config.values import Bind, ConfiguredPath, Duration, Network, Settings, Size, is_loopback

__all__ = [
    "ENVIRONMENT",
    "Bind",
    "Configuration",
    "ConfiguredPath",
    "CredentialName",
    "Duration",
    "GatewaySettings",
    "JsonlSettings",
    "LimitSettings",
    "ListenerSettings",
    "LogSettings",
    "MaskSettings",
    "MetricsOptions",
    "Network",
    "PluginEntry",
    "RecordingSettings",
    "Settings",
    "Size",
    "SourceSettings",
    "TargetSettings",
    "find",
    "foreign_prefixes",
    "is_loopback",
    "load",
    "merged_groups",
    "restart_needed",
]
