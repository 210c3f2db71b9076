"""Credentials from where small installations keep them: environment variables, files, a command's output."""
