"""What runs here and how it is: health, version, and the list of calls. Open to everyone, so nothing of a tenant."""
