"""Formats and protocols that several parts of the lab share."""
