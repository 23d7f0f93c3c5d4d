"""Migrations, roles, transactions, caches, invalidation and background work."""
