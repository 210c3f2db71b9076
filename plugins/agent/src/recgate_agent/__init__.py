"""Agents inside private networks: they dial out to the gateway, which reaches targets through them."""
