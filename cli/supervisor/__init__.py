"""The process behind `tollbridge serve`: it owns the data directory, the ports and every child, and does no work.

It stays small on purpose: the standard library, and rich for one banner. What needs the server's libraries (settings,
migrations, serving) runs in children that are handed a `cli.launch.Launch`.
"""
