"""The bridge before any gRPC server whose protos carry google.api.http rules: nothing of the platform is in the way.

No credential is asked for, errors are google.rpc.Status as JSON, JSON is proto3's canonical one, headers and metadata
pass as they are, and no path is taken away from the service.
"""
