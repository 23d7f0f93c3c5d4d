"""Calls that come with an Idempotency-Key."""
