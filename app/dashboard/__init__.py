"""What a person sees in a browser: overview, orders, batches, submissions. It knows no rule of its own."""
