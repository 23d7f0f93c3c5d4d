"""Every binding form, on a proto of its own (`forms.proto`), against the real bridge and a scripted caller."""
