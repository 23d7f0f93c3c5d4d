"""What tests stand on: a real PostgreSQL and Valkey of their own, and a provider that does what it is told."""
