"""Where the values of a result come from: what the catalog knows, and what is said of a statement."""
