"""How long the usage queries take where much was used: rows made by SQL, questions asked through the real server."""
