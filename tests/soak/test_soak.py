"""Memory stays flat however much flows: COPY and an SSH stream, 256 MB always and 4 GB in `make soak`."""

import tempfile
from pathlib import Path

import pytest

from bench.gateway import DB_TARGET, SSH_TARGET, SshTarget, gateway
from bench.postgres import Address, tool
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd, keygen
from tests.soak.flow import flow

MIB = 1 << 20
FLAT = 32 * MIB
# A line of 1,024 bytes with its newline, as a row and as a line of output: it compresses as text does.
QUERY = "copy (select repeat(md5((i % 977)::text), 31) || repeat('.', 31) from generate_series(1, {lines}) i) to stdout"
SIZES = [
    pytest.param(256 * MIB, id="256 MiB"),
    pytest.param(4096 * MIB, id="4 GiB", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="recgate-soak-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("size", SIZES)
def test_memory_stays_flat_while_rows_are_copied(place, size):
    query = QUERY.format(lines=size // 1024)
    with Cluster(debian_bin(), tls=False) as cluster:
        server = Address(cluster.port, "postgres", PASSWORD, "postgres")
        with gateway(place, server, None, database_target=DB_TARGET) as running:
            command = [tool("psql"), "-X", "-q", "-c", query]

            seen = flow(command, running.database.environment(), running.pid, size)

    assert seen.taken == size
    assert seen.gateway_growth <= FLAT
    assert seen.sealing_growth <= FLAT


@pytest.mark.parametrize("size", SIZES)
def test_memory_stays_flat_while_ssh_streams(place, size):
    piece = 16 * MIB
    (place / "piece").write_bytes(b"".join(b"%1023d\n" % (n % 977) for n in range(piece // 1024)))
    key = keygen(place / "key")
    remote = f"for i in $(seq {size // piece}); do cat {place / 'piece'}; done"
    with Sshd(place) as sshd:
        host = SshTarget(sshd.port, sshd.user, sshd.user_key, sshd.host_key_line)
        with gateway(place, None, host, key.with_suffix(".pub")) as running:
            options = [
                "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null",
                "BatchMode=yes",
                f"Port={running.ssh_port}",
            ]
            words = [word for option in options for word in ("-o", option)]
            command = ["ssh", "-F", "none", "-q", "-i", str(key), *words, f"{SSH_TARGET}@127.0.0.1", remote]

            seen = flow(command, {"PATH": "/usr/bin:/bin"}, running.pid, size)

    assert seen.taken == size
    assert seen.gateway_growth <= FLAT
    assert seen.sealing_growth <= FLAT
