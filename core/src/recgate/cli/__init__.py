"""The command line: one file per command group, imported when its command is used, so that `recgate` starts fast."""

from recgate.cli.main import main

__all__ = ["main"]
