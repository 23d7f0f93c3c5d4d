"""Other systems' calls, sent as those systems document them."""
