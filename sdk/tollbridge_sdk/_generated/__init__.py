# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""What is made from the protos. Import it from nowhere else."""
