"""PostgreSQL: pools by role, tenant transactions, migrations, invalidation."""
