"""The gateway's own origin: its API, tunnels to targets, and whatever other plugins mount beside them."""
