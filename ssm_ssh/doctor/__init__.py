"""The doctor: small named checks that return findings. Printing them is the task of `ssm-ssh status`."""
