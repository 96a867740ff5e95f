"""Which instance a name means, and which account and region to ask for it."""
