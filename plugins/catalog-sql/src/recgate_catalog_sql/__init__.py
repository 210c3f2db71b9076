"""The index of sessions in SQL: who was where and when, at home on SQLite and on PostgreSQL."""
