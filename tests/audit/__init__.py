"""Who did what is written down, in the same transaction, for good."""
