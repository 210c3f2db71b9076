"""Memory that no core file and no other process may show: it holds leased credentials and signing keys."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

from recgate.errors import RecgateError

__all__ = ["keep_memory_private"]

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def keep_memory_private() -> None:
    """Allow no core dump of this process, nor that another of the same user attaches to it or reads its environment.

    Called first thing: the kernel forgets it at an exec, so every process of ours that holds secrets says it itself.

    Raises:
        RecgateError: the kernel refuses.
    """
    # Both: a pattern of the kernel that pipes core dumps to a program takes no notice of the size, only of "dumpable".
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        why = os.strerror(ctypes.get_errno())
        raise RecgateError(
            f"the kernel does not let this process keep its memory private: {why}. Allow prctl(PR_SET_DUMPABLE)."
        )
