"""botocore's chain in a helper process, which ends once it has returned credentials.

botocore takes 14 to 25 MB and 150 ms of CPU. A connection lives for hours and needs botocore only for a moment, at the
start and at each renewal. With an interpreter of its own, botocore does not delay the network meanwhile.

Request and answer are JSON over pipes. Secrets pass only there.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from ssm_ssh import errors
from ssm_ssh.aws.credentials.access_key import Credentials
from ssm_ssh.errors import CredentialsError, SsmSshError
from ssm_ssh.installation import module
from ssm_ssh.text import describe_unexpected
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.config.settings import AwsSettings

# Seconds for credentials that need no person: a `credential_process` or an endpoint may hang.
_UNATTENDED = 60.0
# Seconds that an abandoned helper may take to restore the terminal.
_UNWIND = 10.0
_SETTINGS = ("profile", "explicit_profile", "region", "ca_bundle", "connect_timeout", "read_timeout", "max_attempts")


def open_chain(settings: AwsSettings, *, may_ask: bool) -> Callable[[], Credentials]:
    """Do what botocore_chain.open_chain does, in a helper process, and raise the same errors."""
    unused = [_request(settings, may_ask=may_ask)]

    def current() -> Credentials:
        return unused.pop() if unused else _request(settings, may_ask=False)

    return current


def _request(settings: AwsSettings, *, may_ask: bool) -> Credentials:
    import subprocess
    import threading

    timer: threading.Timer | None = None
    values = {name: getattr(settings, name) for name in _SETTINGS}
    try:
        # stderr belongs to ssh: a program that waits for its end must not wait for the helper.
        with subprocess.Popen(
            module(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(settings.env),
        ) as child:
            if child.stdin is None or child.stdout is None:
                raise _failed()
            # stdin stays open meanwhile: its end tells the child that it has been abandoned.
            if not may_ask:
                timer = threading.Timer(_UNATTENDED, child.kill)
                timer.daemon = True
                timer.start()
            child.stdin.write(json.dumps({"settings": values, "may_ask": may_ask}).encode() + b"\n")
            child.stdin.flush()
            answer = json_object(child.stdout.read())
            if timer is not None:
                timer.cancel()
    except OSError:
        raise _failed() from None
    if answer is None:
        raise _failed()
    if "error" in answer:
        kind = getattr(errors, answer["kind"], SsmSshError)
        raise kind(answer["error"], answer["hint"])
    if "access_key" not in answer:
        raise _failed()
    return Credentials(**answer)


def _failed() -> CredentialsError:
    from ssm_ssh.aws.config.cli_hint import whoami

    return CredentialsError("the helper process for AWS credentials has failed", f"Check them with: {whoami()}")


def _answer(line: bytes) -> dict[str, Any]:
    from ssm_ssh.aws.config.settings import load
    from ssm_ssh.aws.credentials.botocore_chain import open_chain as open_here

    request = json.loads(line)
    values = request["settings"]
    try:
        settings = load(profile=values["profile"], region=values["region"]).replace(**values)
        credentials = open_here(settings, may_ask=request["may_ask"])()
    except SsmSshError as error:
        return {"error": error.message, "hint": error.hint, "kind": type(error).__name__}
    except Exception as error:
        message = f"unexpected error while loading AWS credentials: {describe_unexpected(error)}"
        return {"error": message, "hint": "", "kind": "CredentialsError"}
    return {name: getattr(credentials, name) for name in Credentials.__slots__}


class _Interrupted(BaseException):
    """The helper has been abandoned."""


def _interrupt(_number: int, _frame: object) -> None:
    raise _Interrupted


def main() -> None:
    """Read one request from stdin and write its answer to stdout."""
    import os
    import signal
    import threading
    import time

    from ssm_ssh.aws.credentials.mfa import restore_terminals

    # ssh decides about Ctrl-C, perhaps in the background; when it ends, so does stdin. Unlike an ignored signal, a
    # handler is not inherited by the programs that a profile names.
    signal.signal(signal.SIGINT, lambda *_: None)
    # SIGTERM unwinds the stack: the terminal may be asking for an MFA code now, with echo off.
    signal.signal(signal.SIGTERM, _interrupt)
    asking = threading.get_ident()
    out = os.dup(1)
    os.dup2(2, 1)  # printed text must not mix with the answer
    line = sys.stdin.buffer.readline()

    def leave() -> None:
        sys.stdin.buffer.read()
        signal.pthread_kill(asking, signal.SIGTERM)
        time.sleep(_UNWIND)
        restore_terminals()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
    try:
        answer = json.dumps(_answer(line)).encode()
    except _Interrupted:
        os._exit(1)
    while answer:
        answer = answer[os.write(out, answer) :]
    os._exit(0)


if __name__ == "__main__":
    main()
