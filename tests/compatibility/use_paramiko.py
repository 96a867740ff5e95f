"""Paramiko: the proxy's command is written by the program, so that it has the user and the port of `connect`."""

import os
from pathlib import Path

import paramiko

host, port, user = os.environ["host"], 22, os.environ["user"]
ours = Path("~/.local/share/ssm-ssh").expanduser()
keys = [str(path) for path in (ours / "id_ed25519", ours / "id_ed25519_2") if path.exists()]
with paramiko.SSHClient() as client:
    client.load_host_keys(str(ours / "known_hosts"))
    proxy = paramiko.ProxyCommand(f"ssm-ssh proxy {host} {port} {user}")
    client.connect(host, port, user, sock=proxy, key_filename=keys, allow_agent=False, look_for_keys=False)
    with client.open_sftp() as sftp:
        sftp.put("f", "g")
        sftp.get("g", "back")
    assert client.exec_command("exit 7")[1].channel.recv_exit_status() == 7
