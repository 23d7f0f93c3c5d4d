"""What people do with the running product, over every transport."""
