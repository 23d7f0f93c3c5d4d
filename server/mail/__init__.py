"""E-mail: what the platform writes to people, sent after the fact and beside every call."""
