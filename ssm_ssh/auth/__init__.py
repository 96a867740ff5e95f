"""How the instance comes to accept our public key."""
