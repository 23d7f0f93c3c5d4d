"""Organizations, their members, and what keeps tenants apart."""
