"""The fixtures of tests/aws, for the modules here that make calls."""

from tests.aws.conftest import answer, aws, calls, certificate, env, target

__all__ = ["answer", "aws", "calls", "certificate", "env", "target"]
