"""The HTTP server alone, by real sockets: what it reads, what it refuses, how long it waits, how it ends."""
