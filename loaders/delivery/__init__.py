"""What readers get: the published file, and the page and the service, which open nothing but that file."""
