"""Reads where every order is, across all stages; the HTTP face of orders."""
