"""Mail that the platform sends."""
