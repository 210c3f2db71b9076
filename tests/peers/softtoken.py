"""A token of SoftHSM's, of a test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

__all__ = ["MODULE", "SoftToken"]

MODULE: Final = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN: Final = "271828"


class SoftToken:
    """A token called `gate` below a directory. `environment` says where it is to whoever loads the module."""

    def __init__(self, directory: Path) -> None:
        self.tokens = directory / "tokens"
        self.tokens.mkdir()
        configuration = directory / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration)}
        self.pin_file = directory / "pin"
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(PIN + "\n")
        subprocess.run(
            [
                "softhsm2-util",
                "--init-token",
                "--free",
                "--label",
                "gate",
                "--pin",
                PIN,
                "--so-pin",
                "314159",
            ],
            env=self.environment,
            check=True,
            capture_output=True,
        )

    @property
    def settings(self) -> dict[str, str]:
        """What stands under `gateway: keys: {pkcs11: …}`."""
        return {"module": str(MODULE), "token": "gate", "pin_file": str(self.pin_file)}

    def take_away(self) -> None:
        """Unplug it."""
        self.tokens.rename(self.tokens.with_name("unplugged"))

    def put_back(self) -> None:
        """Plug it in again."""
        self.tokens.with_name("unplugged").rename(self.tokens)
