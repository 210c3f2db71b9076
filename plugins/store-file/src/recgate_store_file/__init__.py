"""Recordings in a directory: written before forwarding, sealed for good."""
