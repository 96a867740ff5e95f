"""The data channel of Session Manager, pure: no socket, clock, thread or print; time and bytes come in."""
