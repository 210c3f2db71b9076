"""The keys that make this gateway this gateway: generated on first start, and nobody else's to read.

data_dir/keys/                      0700, every file 0600
  identity.pem                      Ed25519; signs recording headers
  journal  journal.<id>             32 bytes; wraps the keys of journals; one that did, while a journal needs it
  history.json                      what identity keys there were; public
  permits                           32 bytes; what unsealing originals takes besides people's own keys
  ca.key  gate.key                  P-256; the certificate authority and the listeners
  ssh_host_ed25519  ssh_host_ca  ssh_user_ca
data_dir/                           public
  ca.pem  gate.pem  trust.json
  ssh_host_ed25519.pub  ssh_host_ed25519-cert.pub  ssh_host_ca.pub  ssh_user_ca.pub
"""

from recgate.keys.gateway import GatewayKeys

__all__ = ["GatewayKeys"]
