"""What a person may ask for: what is kept about them, and that it is removed."""
