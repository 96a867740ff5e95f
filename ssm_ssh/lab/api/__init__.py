"""The lab's AWS API, one module a service."""
