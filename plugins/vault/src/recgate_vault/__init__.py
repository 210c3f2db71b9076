"""Credentials from OpenBao or HashiCorp Vault: lent when a session opens, taken back when it ends."""
