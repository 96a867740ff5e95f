"""What must be known of the SSH protocol and its files, pure."""
