"""The chain of botocore in a process of its own, which ends when it has given credentials.

botocore takes 14 to 25 MB and 150 ms of a core. A connection lives for hours, and needs it for a moment at the start
and at each renewal; meanwhile, with a core and an interpreter to itself, it is not in the way of the network.

The child is asked and answers over pipes, in JSON. The secrets pass there and nowhere else.
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

# Seconds for credentials that no person is asked for: a `credential_process` or an endpoint that hangs.
_UNATTENDED = 60.0
# Seconds that a process which nobody waits for any more may take to leave the terminal as it was.
_UNWIND = 10.0
_SETTINGS = ("profile", "explicit_profile", "region", "ca_bundle", "connect_timeout", "read_timeout", "max_attempts")


def open_chain(settings: AwsSettings, *, may_ask: bool) -> Callable[[], Credentials]:
    """Do what chain.open_chain does, elsewhere. Both this call and the function raise the same errors."""
    waiting = [_ask(settings, may_ask=may_ask)]

    def current() -> Credentials:
        return waiting.pop() if waiting else _ask(settings, may_ask=False)

    return current


def _ask(settings: AwsSettings, *, may_ask: bool) -> Credentials:
    import subprocess
    import threading

    timer: threading.Timer | None = None
    question = {name: getattr(settings, name) for name in _SETTINGS}
    try:
        # stderr is ssh's: who waits for its end is not to wait for this.
        with subprocess.Popen(
            module(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(settings.env),
        ) as child:
            if child.stdin is None or child.stdout is None:
                raise _failed()
            # stdin stays open meanwhile: its end tells the child that nobody waits any more.
            if not may_ask:
                timer = threading.Timer(_UNATTENDED, child.kill)
                timer.daemon = True
                timer.start()
            child.stdin.write(json.dumps({"settings": question, "may_ask": may_ask}).encode() + b"\n")
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

    return CredentialsError("the process that was to get AWS credentials has failed", f"Check them with: {whoami()}")


def _answer(line: bytes) -> dict[str, Any]:
    from ssm_ssh.aws.config.settings import load
    from ssm_ssh.aws.credentials.botocore_chain import open_chain as open_here

    asked = json.loads(line)
    values = asked["settings"]
    try:
        settings = load(profile=values["profile"], region=values["region"])
        for name, value in values.items():
            setattr(settings, name, value)
        found = open_here(settings, may_ask=asked["may_ask"])()
    except SsmSshError as error:
        return {"error": error.message, "hint": error.hint, "kind": type(error).__name__}
    except Exception as error:
        said = f"unexpected error while AWS credentials were looked for: {describe_unexpected(error)}"
        return {"error": said, "hint": "", "kind": "CredentialsError"}
    return {name: getattr(found, name) for name in Credentials.__slots__}


class _Interrupted(BaseException):
    """Nobody waits for the answer any more."""


def _interrupt(_number: int, _frame: object) -> None:
    raise _Interrupted


def main() -> None:
    """Read one question from stdin and write its answer to stdout."""
    import os
    import signal
    import threading
    import time

    # Ctrl-C is for ssh to judge (it may be in the background by now); without it stdin ends. A handler, unlike an
    # ignored signal, is not handed on to the programs that a profile names.
    signal.signal(signal.SIGINT, lambda *_: None)
    # An end from outside unwinds, for the terminal may be asking for an MFA code just now, without echo.
    signal.signal(signal.SIGTERM, _interrupt)
    asking = threading.get_ident()
    out = os.dup(1)
    os.dup2(2, 1)  # what anybody prints is no answer
    line = sys.stdin.buffer.readline()

    def leave() -> None:
        sys.stdin.buffer.read()
        signal.pthread_kill(asking, signal.SIGTERM)
        time.sleep(_UNWIND)
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
