"""The HTTP client for providers, against a server that plays bytes."""
