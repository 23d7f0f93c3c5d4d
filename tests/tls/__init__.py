"""Tests of certificate files."""
