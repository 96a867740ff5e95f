"""An interactive shell on a session: the terminal here, the pty there, and every byte between them."""
