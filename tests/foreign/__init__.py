"""Services that know nothing of the platform: a real gRPC server behind the bridge, learned from descriptors alone."""
