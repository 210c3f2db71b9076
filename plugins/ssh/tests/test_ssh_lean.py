"""What is left out of asyncssh changes nothing that anybody could notice."""

# pyright: reportPrivateImportUsage=false

import logging
import os
import subprocess
import sys

import asyncssh.auth
import asyncssh.connection
import pytest
from asyncssh.saslprep import SASLPrepError, saslprep

from recgate_ssh.wire.lean import QuietLogger, prepared


@pytest.mark.parametrize(
    "text",
    ["", " ", "root", "a b", "~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./", "ＡＢＣ", "Ⅸ", "I\u00adX", "å", "\u00a0x"],  # noqa: RUF001
)
def test_names_are_prepared_as_asyncssh_prepares_them(text: str):
    assert prepared(text) == saslprep(text)


@pytest.mark.parametrize("text", ["\x00", "a\nb", "\x7f", "\u0627a\u0628", "\ue000"])
def test_what_is_prohibited_stays_prohibited(text: str):
    for prepare in (prepared, saslprep):
        with pytest.raises(SASLPrepError):
            prepare(text)


def test_every_printable_character_of_ascii_stands_for_itself():
    text = bytes(range(0x20, 0x7F)).decode()
    assert prepared(text) == saslprep(text) == text


def test_asyncssh_uses_it():
    assert asyncssh.auth.saslprep is asyncssh.connection.saslprep is prepared


def test_warnings_are_still_said(caplog: pytest.LogCaptureFixture):
    logger = QuietLogger().get_child(context="conn=1")
    with caplog.at_level(logging.DEBUG, "asyncssh"):
        logger.info("in")
        logger.debug1("detail")
        logger.packet(1, b"secret", "Sent")
        logger.warning("odd")
        logger.error("broken")
    assert [record.getMessage() for record in caplog.records] == ["[conn=1] odd", "[conn=1] broken"]


def test_a_local_user_without_a_name_is_given_one():
    code = (
        "import os, getpass; from recgate_ssh.wire.lean import name_local_user;"
        "os.setuid(54321) if os.geteuid() == 0 else None; name_local_user(); print(getpass.getuser())"
    )
    names = ("LOGNAME", "USER", "LNAME", "USERNAME")
    env = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip()
