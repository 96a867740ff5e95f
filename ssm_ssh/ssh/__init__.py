"""PURE: the parts of the SSH protocol and its files that ssm-ssh needs."""
