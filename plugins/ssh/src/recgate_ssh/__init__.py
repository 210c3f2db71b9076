"""SSH for recgate: a driver on asyncssh, one asyncio loop per session, so that one session's error ends no other."""
