"""Finds what must not be seen by what it looks like: checked numbers, addresses, tokens, keys."""
