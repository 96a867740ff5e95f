"""How the public key gets to the instance: which way, once for many connections, and what was learned of it."""
