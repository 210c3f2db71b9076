"""Which plugins there are, which are asked for, and what they bring. Installed is not enabled."""

from recgate.plugins.discovery import Candidate, NotInstalled, discover
from recgate.plugins.registry import LoadedPlugin, Registry

__all__ = ["Candidate", "LoadedPlugin", "NotInstalled", "Registry", "discover"]
