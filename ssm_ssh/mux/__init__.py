"""The streams of a port forward, pure: smux v1, the plain stream of old agents, and how much may wait unread."""
