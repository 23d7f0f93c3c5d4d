"""The SDK: its generator, its clients over a scripted server, and its wheel in an empty environment."""
