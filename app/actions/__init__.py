"""Stage 6: the actions as impact.com has them, and whether they are what the shop sold."""
