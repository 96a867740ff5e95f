"""The lab's SSM agent."""
