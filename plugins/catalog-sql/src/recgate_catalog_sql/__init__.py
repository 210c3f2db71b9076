"""The index of sessions in SQL: who was where and when, written so that SQLite and PostgreSQL are both at home."""
