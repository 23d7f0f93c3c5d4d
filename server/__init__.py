"""The gRPC core: one pipeline, and the capabilities behind it."""
