"""Tests of settlement, events, sums and calendar windows."""
