# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""The messages of the asynchronous client, a module a capability."""
