"""One user CA, several identity sources: the directory leaves alone what another source signed."""

import base64
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.keys import GatewayKeys
from recgate.keys.usercertificates import SIGN_IN, Proven, sign
from recgate.model import CertificateEvidence, ConnectionInfo, LoginName
from recgate_local.authenticator import LocalAuthenticator
from recgate_local.database import Database


async def test_a_certificate_for_a_sign_in_is_left_to_its_own_source(tmp_path):
    keys = GatewayKeys(tmp_path)
    directory = LocalAuthenticator(Database(tmp_path / "local.sqlite"), keys)
    proven = Proven("alice", 7, float(int(time.time()) + 60), f"{SIGN_IN}corp abc")
    line = sign(keys.ssh_user_ca, Ed25519PrivateKey.generate().public_key(), proven, time.time())
    evidence = CertificateEvidence(base64.b64decode(line.split()[1]))

    found = await directory.authenticate(LoginName("web"), evidence, ConnectionInfo("ssh", "l", "10.0.0.9:1"))

    assert found is None
