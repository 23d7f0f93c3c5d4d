"""The services that the single-machine default brings along: PostgreSQL, Valkey and a small local model.

Each launcher starts one of them as a direct child in a session of its own, tells when it serves, and stops it. The
kernel stops the child when its parent dies. Launchers use the standard library alone: the supervisor that owns them
has to stay small.
"""
