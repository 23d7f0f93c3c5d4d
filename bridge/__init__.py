"""The bridge: REST, SSE and (later) WebSocket in front of gRPC services, learned from their descriptors.

It knows no service by name. Everything it serves is read from a descriptor set, and everything it asks of the
server goes through one port, `bridge.caller.Caller`.
"""
