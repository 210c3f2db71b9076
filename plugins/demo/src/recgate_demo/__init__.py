"""A gateway in front of real targets, to try out by hand or to be checked by itself."""
