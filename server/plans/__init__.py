"""Plans: what they bound and cost, and which one an organization is on."""
