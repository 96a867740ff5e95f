"""The loop that moves bytes between local descriptors and a session, whatever the session is for."""
