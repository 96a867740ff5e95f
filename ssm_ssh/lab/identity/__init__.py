"""Who may call the lab: credentials, signatures and its certificate authority."""
