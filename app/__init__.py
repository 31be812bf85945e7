"""Keeps impact.com click ids, ties orders to them, and reports the orders as conversions."""

__version__ = "0.1.0"
