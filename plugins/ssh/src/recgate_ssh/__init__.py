"""SSH for recgate: a driver on asyncssh, one loop per session, so that no session's error ends another."""
