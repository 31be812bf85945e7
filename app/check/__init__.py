"""What impact.com would refuse in a file of conversions or modifications, whoever made it."""
