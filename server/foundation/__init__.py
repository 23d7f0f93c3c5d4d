"""What everything stands on and what knows nothing of us: time, ids, money, secrets, calendar windows."""
