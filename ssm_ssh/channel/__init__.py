"""Session Manager's data channel, pure: no socket, clock, thread or print. Bytes and the time are arguments."""
