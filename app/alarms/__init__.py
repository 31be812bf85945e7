"""Alarms: what a person has to see to, raised once and cleared when it is over."""
