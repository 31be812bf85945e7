"""What impact.com defines: columns, currencies, limits. The only place that spells them."""
