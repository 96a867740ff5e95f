"""The loop that moves bytes between local descriptors and a session, and its parts."""
