"""The only place that knows AWS APIs: credentials, signing, calls."""
