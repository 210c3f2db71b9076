"""The gateway's append-only log of its recordings and of every administrative act, and its signed heads."""
