"""The documents: links lead somewhere, tables agree with the code, examples run."""
