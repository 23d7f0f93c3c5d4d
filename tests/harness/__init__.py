"""The harness itself: fresh databases, an empty Valkey, a provider double that tells the truth."""
