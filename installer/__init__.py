"""What install.sh leaves to Python: the package index, progress, and errors in one line."""
