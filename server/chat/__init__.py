"""Chat with models: every call is bounded, held for, sent to its provider, counted as it comes, and settled.

`calls` tells the story of one call. Requests are opened at their top level only (`governed_body`); whatever is not
governed reaches the provider byte for byte, and its answer comes back the same way.
"""
