"""A target's own log: who got in there, and with what in hand. Held against what was recorded."""
