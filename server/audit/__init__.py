"""Audit: who did what, one row a change, written in the transaction that made it."""
