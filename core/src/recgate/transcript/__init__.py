"""What a recording means: entries derived from recorded frames by the protocol's own code."""
