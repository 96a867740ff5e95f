"""Connections over the network: TCP, proxies, TLS and WebSocket."""
