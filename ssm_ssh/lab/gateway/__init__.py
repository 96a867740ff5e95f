"""The lab's message gateway (`ssmmessages`)."""
