"""The lab's instances and what is done to them."""
