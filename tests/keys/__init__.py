"""API keys: their life, their rights, and how little the database knows of them."""
