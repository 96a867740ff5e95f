"""Whether the server is the server we mean: where host keys come from, and which are trusted."""
