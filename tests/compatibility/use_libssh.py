"""libssh, by ansible-pylibssh."""

import os
from pathlib import Path

from pylibsshext.session import Session

host, port, user = os.environ["host"], 22, os.environ["user"]
ours = Path("~/.local/share/ssm-ssh").expanduser()
key = next(path for path in (ours / "id_ed25519", ours / "id_ed25519_2") if path.exists())
there = Session()
there.connect(
    host=host,
    port=port,
    user=user,
    proxycommand=f"ssm-ssh proxy {host} {port} {user}",
    private_key=key.read_bytes(),
    host_key_checking=False,
)
there.sftp().put("f", "g")
there.sftp().get("g", "back")
assert there.new_channel().exec_command("exit 7").returncode == 7
there.close()
