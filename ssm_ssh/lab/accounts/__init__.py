"""The users of the lab's instances."""
