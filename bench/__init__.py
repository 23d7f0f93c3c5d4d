"""Benchmarks: what a call through Tollbridge costs in CPU time, latency and memory.

`./run bench` starts a provider double and a load generator (both C, see double/ and load/), a bare proxy to compare
machines by, and Tollbridge itself, and measures them on two cores. docs/performance.md says how and what came out.
"""
