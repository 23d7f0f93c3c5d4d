"""The benchmark's own programs: figures are worth what their counting is worth."""
