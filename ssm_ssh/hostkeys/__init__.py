"""Host keys: where they come from, and which are trusted."""
