"""What can be set, and where each value comes from."""
