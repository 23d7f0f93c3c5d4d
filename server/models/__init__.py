"""Models that calls can name: providers, prices, the configuration file that declares them, and the catalogue."""
