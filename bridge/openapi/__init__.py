"""The OpenAPI 3.1 document, derived from a descriptor image with comments: `python -m bridge.openapi IMAGE OUT`."""
