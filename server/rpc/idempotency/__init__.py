"""Calls that happen once: what came with an Idempotency-Key is carried out at first and answered from memory after.

`once.py` is the stage of the pipeline; docs/idempotency.md says what callers may rely on.
"""
