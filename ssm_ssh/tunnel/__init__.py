"""One SSH connection to one instance: its story, its admission, its end."""
