"""Identity that needs no other system: users, groups, keys, tokens and certificates of the gateway's own."""
