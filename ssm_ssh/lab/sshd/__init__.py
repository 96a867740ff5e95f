"""The SSH servers of the lab's instances: OpenSSH's, or one embedded."""
