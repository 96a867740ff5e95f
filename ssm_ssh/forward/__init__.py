"""Ports of an instance, or of hosts that it reaches, on this computer."""
