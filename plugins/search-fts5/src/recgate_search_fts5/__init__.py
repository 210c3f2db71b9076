"""Search over transcripts with SQLite FTS5: the words people saw and typed, and who, what and where."""
