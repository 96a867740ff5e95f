"""PURE: ssh libraries that fill in %r and %p themselves, known by their banner.

OpenSSH fills in what it uses. These libraries know only what they have read of ssh's configuration, or the local
user's name and port 22, when the program gives user or port in another way. Then the key is pushed for another user
than the one that logs in, and the session leads to another port.
"""

from __future__ import annotations

PARAMIKO, NET_SSH = "Paramiko", "Net::SSH"
"""Paramiko is in Fabric and pyinfra, Net::SSH in Capistrano."""

# https://github.com/paramiko/paramiko/blob/main/paramiko/transport.py (_PROTO_ID, _CLIENT_ID)
# https://github.com/net-ssh/net-ssh/blob/master/lib/net/ssh/transport/server_version.rb (PROTO_VERSION)
_BANNERS = {"SSH-2.0-paramiko_": PARAMIKO, "SSH-2.0-Ruby/Net::SSH_": NET_SSH}


def library(banner: str) -> str:
    """Return the name of such a library, "" for every other client."""
    return next((name for start, name in _BANNERS.items() if banner.startswith(start)), "")


def offers_keys_at_once(name: str) -> bool:
    """Return whether the library offers a key without asking first which methods the server accepts."""
    return name == PARAMIKO


def shows_stderr(name: str) -> bool:
    """Return whether the stderr of its ProxyCommand is that of the program; Paramiko's is a pipe that it never reads.

    For the libraries of this module. (asyncssh even takes it for a part of the stream.)
    """
    return name == NET_SSH


def ends_by_signal(name: str) -> bool:
    """Return whether the library ends its ProxyCommand by SIGTERM whenever it closes a connection."""
    return name == PARAMIKO
