"""Programs and people prove themselves by TLS client certificates, known by authority and alternative name."""
