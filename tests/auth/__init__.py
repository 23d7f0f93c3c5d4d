"""People: accounts, passwords, sessions, access tokens, brute force."""
