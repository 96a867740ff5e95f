"""libssh2, by ssh2-python: it takes a socket, and the proxy the other end of it."""

import os
import socket
import subprocess
from pathlib import Path

from ssh2.session import Session

host, port, user = os.environ["host"], 22, os.environ["user"]
ours = Path("~/.local/share/ssm-ssh").expanduser()
key = next(str(path) for path in (ours / "id_ed25519", ours / "id_ed25519_2") if path.exists())
mine, its = socket.socketpair()
with mine, subprocess.Popen(["ssm-ssh", "proxy", host, str(port), user], stdin=its, stdout=its):
    its.close()
    there = Session()
    there.handshake(mine)
    there.userauth_publickey_fromfile(user, key)
    channel = there.open_session()
    channel.execute("cat; exit 7")
    data, back, sent = Path("f").read_bytes(), b"", 0
    while sent < len(data):  # what fits into the windows of both ways
        sent += channel.write(data[sent : sent + 16384])[1]
        while len(back) < sent:
            back += channel.read(65536)[1]
    channel.send_eof()
    channel.wait_eof()
    channel.close()
    channel.wait_closed()
    assert channel.get_exit_status() == 7
    Path("back").write_bytes(back)
    there.disconnect()
    mine.close()
