"""The lab's processes, none of which outlives it."""
