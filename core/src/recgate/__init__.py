"""A gateway in the data path: it says who acts, lends a credential, holds policy and leaves a recording.

The contracts that plugins build on are in `recgate.hookspecs`, `recgate.providers` and `recgate.model`;
everything else in this package serves them. Nothing here imports a plugin.
"""

__version__ = "0.1.0"
