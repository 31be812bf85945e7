"""The promises of the service, checked; the folders mirror those of `app`."""
