# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
