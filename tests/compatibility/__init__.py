"""Programs that speak ssh, each driven against a lab: `tests/long compatibility`."""
