"""The pipeline and its two transports, held to one suite."""
