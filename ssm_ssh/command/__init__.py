"""One command on an instance: its output, its status, and perhaps its input, byte for byte."""
