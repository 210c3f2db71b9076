"""PostgreSQL for recgate: a sans-IO relay of protocol 3.0 and 3.2, and the transcriber that says what a recording means."""
