"""What a person sees, in a headless Chromium."""
