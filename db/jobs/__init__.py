"""Jobs: what one is, how it is run so that two never do the same work at once, and the record of runs."""
