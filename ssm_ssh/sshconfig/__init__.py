"""The user's ssh configuration: ssm-ssh's own file, one line that includes it, and proof that nothing else changes."""
