"""Limits, on a real Valkey."""
