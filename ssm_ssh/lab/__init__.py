"""An AWS of one's own on loopback, to try, test and demonstrate without an account."""
