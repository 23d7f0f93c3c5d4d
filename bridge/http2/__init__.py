"""A gRPC client of our own: HTTP/2 (RFC 9113) with HPACK (RFC 7541) over asyncio, as far as gRPC's protocol needs it.

grpc.aio changes threads with every exchange between Python and its core, which costs several times what the call itself
does. Here a call is a few frames written by the event loop, and an answer is read where its bytes arrive.
"""
