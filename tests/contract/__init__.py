"""Promises that hold for every method, field and reason, read from the descriptors."""
