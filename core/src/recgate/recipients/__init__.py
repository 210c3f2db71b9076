"""Whom recordings are sealed to: their keys, what is wrapped to them, and the keys that can be destroyed."""
