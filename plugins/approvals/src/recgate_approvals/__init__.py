"""Approvals: held requests wait in the native client while people decide, and all that they did is kept."""
