"""The journal: what this process promised to remember of its calls, before the database knows of it.

One append-only file after the other, written by one process. A call leaves an `Opened` record before its provider hears
of it, `Progressed` ones while it streams, and a `Closed` one when it ended. The first two survive the process's death,
the last also the machine's: its answer waits for the disk. Whoever proves the process dead reads the files and settles
what they say; the same call settled twice is settled once.
"""
