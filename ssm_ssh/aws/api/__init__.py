"""Calls to AWS APIs: signed, with deadlines, retries and clear errors."""
