"""A log is known by its first lines."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from recgate.errors import RecgateError
from recgate.targetlog.formats import FORMATS, read_log

SSH = "Accepted password for deploy from 10.0.0.7 port 50412 ssh2"
IN = "connection authorized: user=deploy database=db"
AT = "2026-11-24 09:30:00.250 UTC"
LOGS = {
    "stderr": [f"{AT} [1] LOG:  starting", f"{AT} [7] LOG:  {IN}"],
    "csvlog": [f'{AT},,,7,"10.0.0.7:5",,1,"",,,0,LOG,00000,"{IN}",,,,,,,,,"","x",,0'],
    "jsonlog": [json.dumps({"timestamp": AT, "pid": 7, "error_severity": "LOG", "message": IN})],
    "sshd": ["", "Nov 24 09:30:00 h cron[1]: x", f"Nov 24 09:30:00 h sshd[7]: {SSH}"],
    "journal-json": [json.dumps({"__REALTIME_TIMESTAMP": "1", "_COMM": "sshd", "MESSAGE": SSH})],
    "journal-export": ["__CURSOR=s=1", "__REALTIME_TIMESTAMP=1", "_COMM=sshd", f"MESSAGE={SSH}", ""],
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_each_format_is_known_and_read(name: str) -> None:
    for said in ("auto", name):
        (found,) = read_log(iter(enumerate(LOGS[name])), said, UTC)
        assert found.user == "deploy"


def test_what_is_none_is_said() -> None:
    with pytest.raises(RecgateError, match="say --format"):
        list(read_log(iter(enumerate(["GET / HTTP/1.1"] * 500)), "auto", UTC))
    with pytest.raises(RecgateError, match="empty"):
        list(read_log(iter(()), "auto", UTC))
