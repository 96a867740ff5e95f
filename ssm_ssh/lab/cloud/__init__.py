"""What EC2, IAM and Systems Manager know of each instance besides its state: network, role and registration."""
