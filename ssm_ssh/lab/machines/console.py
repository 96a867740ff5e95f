"""The console of an EC2 instance as GetConsoleOutput shows it: the kernel's first words, then cloud-init's.

cloud-init prints the host keys once, on an instance's first boot (its module keys-to-console), and anyone who can
write to the kernel log of the instance can write to the console too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
FORGERIES = ("kmsg", "separators", "block")


def _fingerprint(line: str) -> str:
    kind, blob = line.split()[:2]
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")
    bits = {"ssh-ed25519": 256, "ecdsa-sha2-nistp256": 256}.get(kind, 2048)
    name = kind.replace("ssh-", "").replace("ecdsa-sha2-nistp256", "ecdsa").upper()
    return f"{bits} SHA256:{digest} ({name})"


def first_boot(host_name: str, platform: str, host_keys: Sequence[str]) -> str:
    """Return the console after the first boot, with `host_keys` ("type base64") in cloud-init's block.

    Lines end in CR LF, as a serial console's do. The fingerprints have the prefix that logger gives them, the keys
    themselves have none.
    """
    prints = [f"{_fingerprint(line)} root@{host_name}" for line in host_keys]
    logged = ["#" * 61, "-----BEGIN SSH HOST KEY FINGERPRINTS-----", *prints]
    logged += ["-----END SSH HOST KEY FINGERPRINTS-----", "#" * 61]
    lines = [
        "[    0.000000] Linux version 6.1.0 (builder@lab) #1 SMP PREEMPT_DYNAMIC",
        "[    0.000000] Command line: root=LABEL=/ console=tty0 console=ttyS0,115200n8",
        "[    1.532811] systemd[1]: Detected virtualization amazon.",
        f"[    2.120467] systemd[1]: Hostname set to <{host_name}>.",
        "[    6.902331] cloud-init[1423]: Cloud-init v. 22.2.2 running 'modules:config'",
        "[    7.345120] cloud-init[1423]: Generating public/private ed25519 key pair.",
        "[    7.345977] cloud-init[1423]: Your public key has been saved in /etc/ssh/ssh_host_ed25519_key.pub",
        *(f"<14>Jan  1 00:00:08 {host_name} ec2: {line}" for line in logged),
        BEGIN,
        *(f"{line} root@{host_name}" for line in host_keys),
        END,
        "[    8.554512] cloud-init[1460]: Cloud-init v. 22.2.2 finished. Datasource DataSourceEc2Local. Up 8.55 s",
        "",
        platform,
        f"{host_name} login: ",
    ]
    return "\r\n".join(lines)


def forged(kind: str, host_keys: Sequence[str]) -> str:
    """Return what a hostile user of the instance adds to the console to have `host_keys` believed.

    "kmsg": a block through /dev/kmsg, each line behind the kernel's time stamp. "separators": one such line in which
    characters stand that str.splitlines takes for line ends. "block": whole lines without any prefix, as a user
    with access to the serial port writes them, indistinguishable from cloud-init's own.
    """
    block = [BEGIN, *host_keys, END]
    if kind == "kmsg":
        return "\r\n" + "\r\n".join(f"[  612.{400 + n}112] {line}" for n, line in enumerate(block)) + "\r\n"
    if kind == "separators":
        return "\r\n[  612.400112] \x0b" + "\x85".join(block) + "\u2028" + "\x1c".join(block) + "\x0b\r\n"
    return "\r\n" + "\r\n".join(block) + "\r\n"
