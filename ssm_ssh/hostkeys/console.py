"""The host keys that an EC2 instance printed on its console when it first booted.

cloud-init's module keys-to-console writes a block of public keys. The instance writes the console, so text that a user
gets into its kernel log appears there too. A block therefore counts only if each of its lines is a whole line of the
console, with no prefix but that of cloud-init and its logger. Blocks that differ count as none.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
https://cloudinit.readthedocs.io/en/latest/reference/modules.html#keys-to-console
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64

from ssm_ssh.errors import AccessDenied, AwsError, ProtocolError, Throttled
from ssm_ssh.ssh.hostkey import Shown, from_line
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.ssh.hostkey import HostKey

_BEGIN, _END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"
# cloud-init writes the block without a prefix. Older versions sent it through `logger --stderr -t ec2` ("ec2: ",
# "<14>Jan  1 00:00:08 ec2: "), and systemd may name the program ("cloud-init[1423]: "). Lines from a syslog daemon name
# the host as well, those of the kernel have a time in brackets, and those of journald a pid after every tag. None of
# these are accepted, since any user can have such lines written (logger -t ec2).
_TIME = r"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?"
_PREFIX = re.compile(rf"(?:{_TIME}(?:ec2|cloud-init)|cloud-init\[\d{{1,9}}\]): ")
_KERNEL = re.compile(r"\[ *\d+\.\d+\] ")
# An instance has one key of each of a handful of types.
_MOST_KEYS = 32


def host_keys(api: Api, instance_id: str, *, deadline: float | None = None) -> Shown:
    """Return the host keys on the console of `instance_id`: one call, or two if the first shows none.

    The second call asks for the latest output, which only instances on Nitro have. `deadline` is a time.monotonic()
    value. Raises what Api.call raises.
    """
    shown = _ask(api, {"InstanceId": instance_id}, deadline)
    if shown.keys or shown.doubt:
        return shown
    try:
        return _ask(api, {"InstanceId": instance_id, "Latest": True}, deadline)
    except (AccessDenied, Throttled):
        raise
    except AwsError as error:
        if error.code == "UnsupportedOperation":
            return shown
        raise


def _ask(api: Api, payload: dict[str, object], deadline: float | None) -> Shown:
    answer = api.call("ec2", "GetConsoleOutput", payload, target=str(payload["InstanceId"]), deadline=deadline)
    output = answer.get("output", "")
    try:
        text = a2b_base64(output) if isinstance(output, str) else b""
    except (Error, ValueError):
        raise ProtocolError("the answer to GetConsoleOutput is malformed", "Check the endpoint URL") from None
    return read(text)


def read(output: bytes) -> Shown:
    """Return the host keys in a console's `output`."""
    blocks: list[frozenset[HostKey]] = []
    block: set[HostKey] | None = None
    for raw in output.split(b"\n"):  # at no other character, unlike str.splitlines()
        line = raw.rstrip(b"\r").decode("latin-1")
        plain = _plain(line)
        if block is None:
            if plain == _BEGIN:
                block = set()
            continue
        if plain == _END:
            blocks.append(frozenset(block))
            block = None
        elif plain and not _KERNEL.match(line):  # kernel messages may come between
            key = from_line(plain)
            if key is None or len(block) >= _MOST_KEYS:
                return Shown(frozenset(), "the console's block of host keys is malformed")
            block.add(key)
    if block is not None:
        return Shown(frozenset(), "the console's block of host keys has no end")
    if any(other != blocks[0] for other in blocks):
        return Shown(frozenset(), "the console shows contradicting blocks of host keys")
    return Shown(blocks[0] if blocks else frozenset())


def _plain(line: str) -> str:
    prefix = _PREFIX.match(line)
    return line[prefix.end() :] if prefix else line
