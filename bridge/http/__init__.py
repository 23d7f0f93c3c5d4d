"""HTTP/1.1 and 1.0 as the bridge serves it: from the bytes of a socket to a request, and from an answer to bytes.

Knows nothing of routes, calls or errors' texts. A server hands every request, broken ones too, to one handler, and
writes what it answers; a stream is written by the handler itself, piece by piece.
"""
