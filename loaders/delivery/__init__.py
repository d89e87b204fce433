"""What readers get: the published file."""
