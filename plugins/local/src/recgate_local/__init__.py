"""Identity that needs no other system: users, groups, SSH keys, gateway tokens and certificates kept in the data directory."""
