"""Who is calling: accounts and passwords of people, their sessions, and the check of every credential."""
