"""A vault in one encrypted file: enough for a gateway that has no vault server beside it."""
