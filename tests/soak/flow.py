"""Take a long stream from a client and watch, as it flows, whether the gateway's memory stays where it was."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.process import descendants

__all__ = ["Flow", "flow"]

MIB = 1 << 20
TOLD = 1 << 30  # bytes of a run that says how far it is
NAMES = ("gateway", "sealing")
STEP = 1 << 20  # bytes of one read from the client
SAMPLES = 64  # of memory, evenly over the stream
SETTLED = 8  # of these first ones are the start: buffers and caches reach their size


@dataclass(frozen=True, slots=True)
class Flow:
    """What came, and by how much the memory of the gateway and of its sealing process grew once under way."""

    taken: int
    gateway_growth: int
    sealing_growth: int


def resident(pid: int) -> int:
    """Give the resident bytes of a process, without file pages, which the kernel takes back at will."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def tell(taken: int, size: int, sample: tuple[int, int], seconds: float) -> None:
    """Say how far a long run is; `make soak` lets it through."""
    held = ", ".join(f"{name} {nbytes / MIB:.1f} MiB" for name, nbytes in zip(NAMES, sample, strict=True))
    sys.stderr.write(f"  {taken / MIB:,.0f} of {size / MIB:,.0f} MiB in {seconds:.0f} s: {held}\n")


def flow(command: Sequence[str], environment: Mapping[str, str], gateway: int, size: int) -> Flow:
    """Run a client whose output is `size` bytes long; its exit status must be 0."""
    workers = descendants(gateway)
    samples: list[tuple[int, int]] = []
    taken, due, began = 0, 0, time.monotonic()
    null = os.open(os.devnull, os.O_WRONLY)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        try:
            while moved := os.splice(client.stdout.fileno(), null, STEP):
                taken += moved
                if taken >= due:
                    due += size // SAMPLES
                    samples.append((resident(gateway), sum(map(resident, workers))))
                    if size >= TOLD and len(samples) % (SAMPLES // 8) == 0:
                        tell(taken, size, samples[-1], time.monotonic() - began)
        finally:
            os.close(null)
    assert client.returncode == 0, command
    early, late = samples[:SETTLED], samples[SETTLED:]
    growth = [max(each[i] for each in late) - max(each[i] for each in early) for i in (0, 1)]
    if size >= TOLD:
        sys.stderr.write(f"  grown by {growth[0] / MIB:.1f} and {growth[1] / MIB:.1f} MiB\n")
    return Flow(taken, *growth)
