"""Bytes over the network: TLS, proxies, WebSocket."""
