"""Keys of the gateway in a hardware module."""
