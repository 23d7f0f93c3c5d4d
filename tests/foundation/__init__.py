"""Ids, money, secrets and calendar windows."""
