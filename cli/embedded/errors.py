"""What a launcher says when its service cannot be had."""


class EmbeddedServiceError(Exception):
    """An embedded service cannot start; the text is one sentence (with the log's last lines, if any) for a person."""
