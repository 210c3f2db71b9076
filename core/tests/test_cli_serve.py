"""`recgate serve` as an operator sees it: ready, addresses, SIGHUP, SIGTERM, and errors that say what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from recgate.testing.process import GatewayProcess

CONFIG = {"listeners": [{"protocol": "metrics", "bind": "127.0.0.1:0"}]}
PATIENCE = 30.0


def test_it_says_ready_with_the_addresses_bound_and_serves_metrics(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG) as gate:
        assert gate.ready["ready"] is True
        with urllib.request.urlopen(
            f"http://127.0.0.1:{gate.port('metrics')}/metrics", timeout=PATIENCE
        ) as page:
            assert b"recgate_sessions_live" in page.read()
        limits = Path(f"/proc/{gate.pid}/limits").read_text()
        assert "Max core file size        0" in limits, "a core dump would hold credentials"
        assert (gate.data_dir / "ca.pem").exists()
    assert '"gateway.stopped"' in gate.log()


def test_sighup_reads_again_and_a_bad_file_keeps_the_old_one(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG) as gate:
        gate.configure({**CONFIG, "log": {"level": "warning"}})
        os.kill(gate.pid, signal.SIGHUP)
        gate.until(lambda: "configuration.loaded" in gate.log(), "a reload")
        gate.config_file.write_text("listners: []")
        os.kill(gate.pid, signal.SIGHUP)
        gate.until(lambda: "configuration.refused" in gate.log(), "a refused reload")
        assert "listners" in gate.log()
        urllib.request.urlopen(f"http://127.0.0.1:{gate.port('metrics')}/metrics", timeout=PATIENCE).close()


def _serve(tmp_path: Path, config: dict[str, object] | None, *words: str) -> subprocess.CompletedProcess[str]:
    if config is not None:
        gateway = {"data_dir": str(tmp_path / "data"), "name": "gate"}
        (tmp_path / "recgate.yaml").write_text(yaml.safe_dump({"gateway": gateway, **config}))
    return subprocess.run(
        [sys.executable, "-m", "recgate", "serve", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=PATIENCE,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "RECGATE_CONFIG"},
    )


def test_a_second_gateway_on_the_same_directory_is_told_so(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG):
        done = _serve(tmp_path, None)
    assert done.returncode != 0
    assert "another recgate is running on it" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with GatewayProcess(tmp_path / "one", CONFIG) as gate:
        bind = f"127.0.0.1:{gate.port('metrics')}"
        done = _serve(tmp_path, {"listeners": [{"protocol": "metrics", "bind": bind}]})
    assert done.returncode != 0
    assert "Is another program on that address?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("config", [{"listners": []}, {"policies": [{"name": "p"}]}])
def test_a_configuration_that_is_wrong_or_not_enforced_does_not_start(tmp_path: Path, config) -> None:
    done = _serve(tmp_path, config)
    assert done.returncode != 0
    assert "recgate.yaml:" in done.stderr
    assert done.stdout == ""


def test_stopping_while_starting_is_a_stop(tmp_path: Path) -> None:
    gate = GatewayProcess(tmp_path, CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-m", "recgate", "serve", "--config", str(gate.config_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        gate.until((gate.data_dir / "lock").exists, "the lock")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert b"Traceback" not in err
