"""PostgreSQL for recgate: a sans-IO relay, and the transcriber that says what a recording of it means."""
