"""What the platform says of itself."""
