"""Stage 3: recorded orders become files."""
