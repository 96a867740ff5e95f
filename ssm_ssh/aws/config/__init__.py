"""AWS settings: the shared files, profiles, regions and endpoints."""
