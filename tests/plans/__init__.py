"""Tests of plans and subscriptions."""
