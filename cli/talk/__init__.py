"""`tollbridge chat`: a conversation in the terminal with a running server, over the REST that every client uses."""
