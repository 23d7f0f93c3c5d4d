"""Tests of the image and of compose.yaml."""
