"""Tests: one folder a capability; `support/` holds the harness, the builders and the provider double."""
