"""Loaded by pytest wherever recgate is installed: a plugin's suite has the kit without importing it."""
