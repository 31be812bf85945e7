"""A stand-in for impact.com on this machine. It shares reference data with the service and none of its rules."""
