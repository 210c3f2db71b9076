"""The durable record of a session: journal, segments, seals, and how they are read and verified."""
