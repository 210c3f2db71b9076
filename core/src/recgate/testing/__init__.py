"""The kit for whoever writes a plugin: contracts, playbooks and fakes, tested here the way a vendor tests."""
