"""What goes wrong in the lab, on request."""
