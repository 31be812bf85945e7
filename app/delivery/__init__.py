"""Stage 4: files leave."""
