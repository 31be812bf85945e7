"""Stage 2: an order is recorded, exactly once."""
