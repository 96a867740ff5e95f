"""Where AWS credentials come from."""
