"""People and machines sign in with an OpenID Connect provider, in whatever protocol they use."""
