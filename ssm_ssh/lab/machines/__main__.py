"""The lab's instances process: `python -m ssm_ssh.lab.machines`, started by the lab's server."""

from __future__ import annotations

import contextlib
import sys

from ssm_ssh.lab.machines import service
from ssm_ssh.lab.wire import rpc


def main() -> int:
    """Serve the calls that arrive on descriptor 0 until its end; return the exit status."""
    with contextlib.suppress(KeyboardInterrupt):
        return rpc.serve(service.start)
    return 130


if __name__ == "__main__":
    sys.exit(main())
