"""The ways by which files come: each takes a file when it is whole, and hands it to the desk."""
