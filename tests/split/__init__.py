"""Tests of the parts as processes of their own."""
