"""Organizations: the tenants, their members and roles, and the event that tells others of a new one."""
