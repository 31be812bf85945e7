"""Orders as checkouts send them, and a demo that plays them against the running service."""
