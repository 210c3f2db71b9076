"""Give `ssh` a password where there is no terminal: the program that SSH_ASKPASS names."""

import os
import stat
from pathlib import Path

__all__ = ["askpass"]


def askpass(directory: Path, answer: str) -> dict[str, str]:
    """Give the environment in which `ssh` types `answer` whenever it asks; it notes each question."""
    program = directory / "askpass"
    program.write_text(f"#!/bin/sh\necho \"$1\" >>{directory}/asked\necho '{answer}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {**os.environ, "SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none:0"}
