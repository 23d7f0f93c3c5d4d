"""The gRPC client of our own, against servers that play frames, and against grpc's."""
