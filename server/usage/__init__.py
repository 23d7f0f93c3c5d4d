"""What was used: one event a metered call, sums over time, and the settlement that writes both with the money."""
