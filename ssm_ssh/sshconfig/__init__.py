"""The user's ssh configuration: one file of ours, one line in theirs, and proof that nothing else has changed."""
