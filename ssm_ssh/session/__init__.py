"""A Session Manager session, from StartSession to an open data channel."""
