"""Which host keys a target may show: those in its options, and those of its known-hosts file."""

from __future__ import annotations

from typing import Final

import trio

from recgate.errors import UpstreamFailed
from recgate_ssh.options import SshTargetOptions

__all__ = ["MAX_KNOWN_HOSTS", "known_hosts"]

MAX_KNOWN_HOSTS: Final = 4 * 1024 * 1024  # bytes of a known-hosts file; thousands of hosts


async def known_hosts(options: SshTargetOptions) -> bytes:
    """Give both sources as text in OpenSSH's known_hosts format. Raises `UpstreamFailed` if the file cannot be read.

    A line of `host_key:` stands for this target whatever its address, hence the pattern that matches any.
    """
    lines = [f"* {line}" for line in options.host_key]
    if options.known_hosts is not None:
        try:
            async with await trio.open_file(options.known_hosts, "rb") as file:
                text = await file.read(MAX_KNOWN_HOSTS + 1)
        except OSError as exc:
            raise UpstreamFailed(f"known_hosts: cannot read {options.known_hosts}: {exc.strerror}") from None
        if len(text) > MAX_KNOWN_HOSTS:
            raise UpstreamFailed(f"known_hosts: {options.known_hosts} is larger than {MAX_KNOWN_HOSTS} bytes")
        lines.append(text.decode("utf-8", "replace"))
    return "\n".join([*lines, ""]).encode()
