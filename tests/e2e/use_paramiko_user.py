"""Be a program that gives paramiko a user that ssh's configuration does not know: SSH_CONFIG HOST USER."""

from __future__ import annotations

import sys

import paramiko


def main(config_file: str, host: str, user: str) -> None:
    config = paramiko.SSHConfig.from_path(config_file).lookup(host)
    with paramiko.SSHClient() as client:
        client.load_host_keys(config["userknownhostsfile"].strip('"'))
        client.connect(
            host,
            username=user,
            key_filename=config["identityfile"][0].strip('"'),
            sock=paramiko.ProxyCommand(config["proxycommand"]),
            allow_agent=False,
            look_for_keys=False,
            timeout=50,
        )


try:
    main(*sys.argv[1:])
except paramiko.SSHException as error:
    sys.exit(f"paramiko: {error!r}")
