"""TLS of our ports and towards servers: certificate files are checked, and followed when they are replaced."""
