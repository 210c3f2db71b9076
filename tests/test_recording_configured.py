"""A configured gateway's recording: its own store, catalog and index, in the worker as in the commands."""

from __future__ import annotations

import time

from recgate.config import load
from recgate.ids import new_session_id
from recgate.keys import GatewayKeys
from recgate.plugins import Registry
from recgate.recording.backend import configured
from recgate.recording.plan import RecordingPlan
from recgate.recording.reader import open_archive
from recgate.recording.service import RecordingService
from recgate.recording.trust import Trust
from recgate.recording.verify import Status, verify_session
from recgate.sansio.frames import CLIENT


async def test_a_session_is_listed_while_it_lives_and_verifies_when_it_ends(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text("gateway: {name: gate-1, data_dir: data}\n")
    config = load(file)
    registry, keys = Registry.of(config), GatewayKeys.of(config)
    keys.prepare()
    opened = {
        "session": new_session_id(),
        "user": "alice",
        "groups": ["dba"],
        "target": "prod-db",
        "protocol": "postgres",
        "source": "127.0.0.1:9",
        "started": time.time_ns(),
        "policy": config.digest,
    }
    async with RecordingService.of(config, registry, keys) as service:
        service.check()
        recorder = service.open(opened)
        recorder.append(CLIENT, "F", b"Q\0\0\0\x0dselect 1\0")
        archive = open_archive(config, registry)
        assert [frame.kind for frame in archive.frames(recorder.session_id)] == ["opened", "F"]
        await recorder.listed.wait()
        row = registry.catalog.get(recorder.session_id)
        assert row is not None
        assert (row.user, row.status) == ("alice", "live")
        await recorder.close({"reason": "client-closed"})
        assert recorder.sealed
    row = registry.catalog.get(recorder.session_id)
    assert row is not None
    assert (row.status, row.reason) == ("sealed", "client-closed")
    trust = Trust.load(config.data_dir / "trust.json")
    report = verify_session(recorder.session_id, registry.store, trust, journal=config.data_dir / "journal")
    assert (report.status, report.problems) == (Status.COMPLETE, [])
    assert [frame.kind for frame in archive.frames(recorder.session_id)] == ["opened", "F", "closed"]


async def test_the_worker_gets_the_configuration_in_force_and_not_the_file(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text("gateway: {name: gate-1, data_dir: data}\nrecording: {store: {file: {path: here}}}\n")
    config = load(file)
    registry, keys = Registry.of(config), GatewayKeys.of(config)
    plan = RecordingPlan.of(config, registry, keys)
    file.write_text("broken since: [\n")
    backend = configured(plan.argument)
    assert backend.store.name == "store-file"
    backend.store.put(new_session_id(), "header.cbor", b"x")
    assert (tmp_path / "here").is_dir()
