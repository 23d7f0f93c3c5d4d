"""Chat: the wire, the bounds, the endings and what each of them costs."""
