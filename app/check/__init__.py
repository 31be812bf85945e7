"""What impact.com would refuse in a conversion file, whoever made it."""
