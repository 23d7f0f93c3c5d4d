"""Limits: how many requests and tokens a second, minute, hour, day or month, and how many calls at once.

    gate = limiter.gate(org_id, zone, limits)          # once per key and plan; keep it with what is cached of them
    admission = gate.take(tokens) or await gate.admit(tokens)
    ...                                                # the call
    admission.settle(tokens_used)                      # puts tokens right; waits for nothing
    admission.release()                                # frees the slots; once, however the call ended

A decision is about all limits of the gate at once: all are charged or none. `take` decides in memory, from slices that
this process holds, and answers None where Valkey must be asked, which `admit` does.

`admit` raises `LimitExceededError` (429) with the limit that refuses, and `UnavailableError` (503) where nobody can
count just now: never does that mean unlimited. `docs/limits.md` tells how it is kept exact.
"""
