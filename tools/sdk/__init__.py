"""The SDK's generator: a protoc plugin that makes everything below `sdk/` which follows from the protos."""
