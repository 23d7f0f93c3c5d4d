"""What holds for the checkout: `./run`, the environment it makes, the checks, and what may be committed."""
