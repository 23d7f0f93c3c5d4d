"""Calls of other systems, served by our RPCs: data in one YAML file a system, in a closed format.

A file says which documented call is which RPC and how names differ; it holds no rules. Whatever a call needs that no
RPC gives is an RPC. An alias is served by the same endpoint as the canonical route, so it passes through the same
authentication, limits, metering and audit. `docs/aliases.md` documents the format and what each system gets.
"""
