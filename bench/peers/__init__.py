"""What the service is compared with: small servers that do the same job, each as its kind is usually written."""
