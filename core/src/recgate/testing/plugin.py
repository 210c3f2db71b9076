"""Loaded by pytest wherever recgate is installed, so that a plugin's suite has the kit without importing it."""
