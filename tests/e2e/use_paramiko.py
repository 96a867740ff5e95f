"""Be a program that uses paramiko: use_paramiko.py SSH_CONFIG HOST; the rest is from the config."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys

import paramiko


def main(config_file: str, host: str) -> None:
    data = os.urandom(2 << 20) + bytes(range(256)) + b"\n"
    config = paramiko.SSHConfig.from_path(config_file).lookup(host)
    proxy = paramiko.ProxyCommand(config["proxycommand"])
    try:
        with paramiko.SSHClient() as client:
            client.load_host_keys(config["userknownhostsfile"].strip('"'))
            client.connect(
                host,
                int(config["port"]),
                config["user"],
                key_filename=config["identityfile"][0].strip('"'),
                sock=proxy,
                allow_agent=False,
                look_for_keys=False,
                timeout=50,
            )
            said = {"status": client.exec_command("exit 7")[1].channel.recv_exit_status()}
            for name, sent in (("echo", data), ("newline", b"\n")):
                with client.open_sftp() as sftp:
                    with sftp.open("paramiko ü", "wb") as file:
                        file.write(sent)
                    with sftp.open("paramiko ü", "rb") as file:
                        copied = file.read()
                    sftp.remove("paramiko ü")
                stdin, stdout, _ = client.exec_command("cat")
                stdin.write(sent[: 1 << 20])  # what fits into the windows of both ways: nobody reads meanwhile
                stdin.channel.shutdown_write()
                back = stdout.read()
                said[name] = (
                    copied == sent and hashlib.sha256(back).digest() == hashlib.sha256(sent[: 1 << 20]).digest()
                )
        sys.stdout.write(json.dumps(said))
    finally:
        proxy.close()


logging.basicConfig(level=logging.INFO)
try:
    main(*sys.argv[1:])
except (OSError, EOFError, paramiko.SSHException) as error:
    sys.exit(f"paramiko: {error!r}")
