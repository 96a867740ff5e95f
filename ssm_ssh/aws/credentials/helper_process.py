"""botocore's chain in a helper process, which ends once it has returned credentials.

botocore takes 14 to 25 MB and 150 ms of CPU. A connection lives for hours and needs botocore only for a moment, at the
start and at each renewal. With an interpreter of its own, botocore does not delay the network meanwhile.

Request and answer are JSON over pipes. Secrets pass only there.
"""

from __future__ import annotations

import json
import sys

from ssm_ssh import errors
from ssm_ssh.aws.credentials.access_key import Credentials
from ssm_ssh.errors import CredentialsError, SsmSshError
from ssm_ssh.installation import module
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import describe_unexpected
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

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

    values = {name: getattr(settings, name) for name in _SETTINGS}
    try:
        # stderr belongs to ssh: a program that waits for its end must not wait for the helper.
        with subprocess.Popen(
            module(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(settings.env),
            # What a profile's program starts is to end with the helper, so they have a process group of their own.
            # But only the terminal's foreground group may ask there.
            start_new_session=not may_ask,
        ) as child:
            if child.stdin is None or child.stdout is None:
                raise _failed()
            timer = threading.Timer(_UNATTENDED, _kill_group, (child.pid,))
            timer.daemon = True
            if not may_ask:
                timer.start()
            try:
                # stdin stays open meanwhile: its end tells the child that it has been abandoned.
                child.stdin.write(json.dumps({"settings": values, "may_ask": may_ask}).encode() + b"\n")
                child.stdin.flush()
                answer = json_object(child.stdout.read())
            finally:
                timer.cancel()
            if not answer and not may_ask:
                _kill_group(child.pid)  # the helper has been killed, and has left its programs behind
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


def _kill_group(group: int) -> None:
    import os
    import signal
    from contextlib import suppress

    with suppress(OSError):  # it has ended
        os.killpg(group, signal.SIGKILL)


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


def _end() -> NoReturn:
    """End this process and, where it leads a session, all that it has started."""
    import os

    if os.getsid(0) == os.getpid():
        _kill_group(os.getpgrp())
    os._exit(1)


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
        _end()

    threading.Thread(target=leave, daemon=True).start()
    try:
        answer = json.dumps(_answer(line)).encode()
    except _Interrupted:
        _end()
    while answer:
        answer = answer[os.write(out, answer) :]
    os._exit(0)


if __name__ == "__main__":
    main()
