"""Evidence for somebody outside: a recording and everything that it takes to verify it, in one file."""
