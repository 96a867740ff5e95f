"""SSH to EC2 and hybrid machines through AWS Systems Manager Session Manager."""

__version__ = "0.2.0"
