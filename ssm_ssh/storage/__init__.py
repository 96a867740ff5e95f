"""Private files and folders on this machine."""
