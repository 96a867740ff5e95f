"""Fabric: `gateway` may be a ProxyCommand, which is written with the user and the port of the connection."""

import os
from pathlib import Path

from fabric import Connection

host, port, user = os.environ["host"], 22, os.environ["user"]
ours = Path("~/.local/share/ssm-ssh").expanduser()
keys = [str(path) for path in (ours / "id_ed25519", ours / "id_ed25519_2") if path.exists()]
with Connection(
    host, user, port, gateway=f"ssm-ssh proxy {host} {port} {user}", connect_kwargs={"key_filename": keys}
) as there:
    there.put("f", "g")
    there.get("g", f"{Path.cwd()}/back")
    assert there.run("exit 7", warn=True, hide=True).exited == 7
