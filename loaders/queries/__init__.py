"""What commands ask of the finished tables."""
