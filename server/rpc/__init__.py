"""What every call passes through, whatever carried it: one pipeline over (method, request, metadata).

Capabilities give it servicers; transports (the gRPC edge, the in-process caller) give it calls. The stages that need a
capability (authenticate, audit) are protocols here, bound in `server.app`.
"""
