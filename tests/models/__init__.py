"""Tests of prices, the configuration file and the catalogue."""
