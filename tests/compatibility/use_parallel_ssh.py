"""parallel-ssh of PyPI, through a port that ssh forwards."""

import os
from pathlib import Path

from pssh.clients import SSHClient

user = os.environ["user"]
ours = Path("~/.local/share/ssm-ssh").expanduser()
key = next(str(path) for path in (ours / "id_ed25519", ours / "id_ed25519_2") if path.exists())
there = SSHClient("127.0.0.1", port=2022, user=user, pkey=key)
there.copy_file("f", "g")
there.copy_remote_file("g", "back")
output = there.run_command("exit 7")
there.wait_finished(output)
assert output.exit_code == 7
