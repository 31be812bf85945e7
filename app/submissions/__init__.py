"""Stage 5: what impact.com made of what was sent."""
