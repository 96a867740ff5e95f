"""What a connection imports. Start-up is what people feel, so a module is added to this list on purpose."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.world import World, read_until

pytestmark = pytest.mark.e2e

# Of the standard library, besides what a bare interpreter loads and what these load themselves under a name with `_`.
ALLOWED = {
    # what everything needs
    *("collections", "collections.abc", "contextlib", "copyreg", "enum", "errno", "fcntl", "functools", "keyword"),
    *(
        "importlib",
        "importlib.machinery",
        "nt",
        "itertools",
        "operator",
        "re",
        "reprlib",
        "types",
        "warnings",
        *("weakref", "sre_compile", "sre_constants", "sre_parse"),  # the last three before Python 3.11
    ),
    # text and numbers
    *("array", "binascii", "heapq", "json", "json.decoder", "json.encoder", "json.scanner", "math", "struct"),
    # files
    *("fnmatch", "glob", "grp", "ntpath", "pathlib", "urllib", "urllib.parse", "ipaddress", "pwd", "string"),
    # the shared files of the AWS CLI
    "configparser",
    # signatures and the network
    *("base64", "hashlib", "hmac", "select", "selectors", "signal", "socket", "ssl", "threading"),
}
# Packages that bring modules along with each interpreter.
_ENVIRONMENT = {"sitecustomize", "usercustomize", "sysconfig"}


def imported(stderr: str) -> set[str]:
    """The modules that `-X importtime` names."""
    lines = [line for line in stderr.splitlines() if line.startswith("import time:") and line.count("|") == 2]
    return {line.rpartition("|")[2].strip() for line in lines} - {"imported package"}


def test_a_connection_imports_nothing_but_what_is_listed(world: World) -> None:
    world.ssh("true")  # makes the key pair, and learns the host key
    python = [sys.executable, "-I", "-X", "importtime", "-c"]
    bare = subprocess.run([*python, "pass"], capture_output=True, text=True, check=True).stderr
    program = "from ssm_ssh.cli.main import entry; entry()"
    running = world.start(*python, program, "proxy", world.web.instance_id, "22", world.web.users[0])
    read_until(running.stdout, b"SSH-2.0")  # all that a connection needs has been imported
    done = running.finish()
    more = imported(done.whole_stderr) - imported(bare) - _ENVIRONMENT
    assert {"ssm_ssh.transport.websocket", "ssl"} <= more, done.said[-2000:]
    public = {name for name in more if not any(part.startswith("_") for part in name.split("."))}
    assert {name for name in public if name.partition(".")[0] != "ssm_ssh"} <= ALLOWED
