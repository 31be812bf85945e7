"""Stage 1: a click id arrives with a visitor and is kept."""
