"""Draws the figures as small SVG files that read well in light and dark, the same bytes for the same figures."""
