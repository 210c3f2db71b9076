"""Notifications: whoever may decide is told that something waits, without any session waiting for them."""
