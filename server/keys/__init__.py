"""API keys: what programs prove themselves with. Made once, shown once, kept as a keyed digest."""
