"""Says what is wrong with an installation, and how to put it right."""
