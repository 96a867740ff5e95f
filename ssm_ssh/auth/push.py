"""Pushing a public key to an instance: the methods, which one is used, and what an error of one means for the other.

    auto          EC2 Instance Connect for i-..., Run Command for mi-... and wherever EC2 Instance Connect cannot be
                  used, or cannot be reached while Systems Manager can
    eic           EC2 Instance Connect only
    send-command  Run Command only
    none          nothing: the key is on the instance already

Run Command is root on the instance. So a push that EC2 Instance Connect denies is never made by Run Command instead,
unless the settings allow it.
"""

from __future__ import annotations

import os
import time

from ssm_ssh.auth import push_journal
from ssm_ssh.auth.reachability import Attempt
from ssm_ssh.auth.singleflight import Pushed, share
from ssm_ssh.aws.credentials.fingerprint import credential_source
from ssm_ssh.aws.services.instance_connect import push_key, push_payload
from ssm_ssh.aws.services.run_command import SHELL_DOCUMENT, run_document, run_script
from ssm_ssh.errors import (
    AccessDenied,
    AwsError,
    CredentialsError,
    KeyRefused,
    NetworkError,
    SsmSshError,
    StateError,
    TargetMissing,
    UsageError,
)
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.auth.identity import UserKey
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.log import Log
    from ssm_ssh.remote.script import Placed
    from ssm_ssh.target import Target

AUTO, EIC, COMMAND, NONE = "auto", "eic", "send-command", "none"
METHODS = (AUTO, EIC, COMMAND, NONE)
# Seconds for which EC2 Instance Connect's keys are accepted:
# https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html
EIC_LIFETIME = 60.0
# Seconds. A command takes one to three, seldom three quarters of a minute; sshd waits two minutes for a login.
_COMMAND_LIMIT = 90.0
# Seconds. Run Command reports the end of a command up to this late.
_REPORT_DELAY = 5.0
# Seconds for the call that tests whether Systems Manager answers.
_SSM_LIMIT = 10.0
# The errors of EC2 Instance Connect (without their suffix) that say that it cannot be used here by any caller.
_CANNOT = frozenset(
    {"EC2InstanceUnavailable", "EC2InstanceTypeInvalid", "InvalidArgs", "Validation", "Unsupported"}
    | {"UnsupportedOperation", "UnknownOperation", "InvalidAction"}
)


class PushPolicy(NamedTuple):
    """How the user wants keys to be pushed: the settings `push`, `push_document` and `push_after_denied`."""

    method: str = AUTO
    document: str = SHELL_DOCUMENT
    after_denied: bool = False
    lifetime: int = 60  # as EC2 Instance Connect


def authorize(
    api: Callable[[], Api],
    target: Target,
    user: str,
    key: UserKey,
    policy: PushPolicy,
    *,
    log: Log,
    clock: Callable[[], float] = time.time,
) -> Pushed | None:
    """Have `target` accept `key` of `user` for about a minute, or share another process's push; None for no push.

    Blocks. Raises what the method's calls raise, and KeyRefused if the instance refuses the key.
    """
    if policy.method == NONE:
        return None
    caller = api()
    known = push_journal.ineffective(target.instance_id, clock()) if policy.method == AUTO else None
    # A push by EC2 Instance Connect from before it was known to be ineffective is not shared.
    caller_identity = (credential_source(caller.settings), caller.settings.region)
    about = repr((target.instance_id, user, key.line, caller_identity, policy, known is not None))
    lifetime = min(EIC_LIFETIME, policy.lifetime)
    push = _Push(caller, target, user, key, policy, known=known, log=log, clock=clock)
    return share(about, lifetime, push.run, clock=clock)


class _Push:
    """One push."""

    def __init__(
        self,
        api: Api,
        target: Target,
        user: str,
        key: UserKey,
        policy: PushPolicy,
        *,
        known: push_journal.Ineffective | None,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._target = target
        self._user = user
        self._key = key
        self._policy = policy
        self._known = known
        self._log = log
        self._clock = clock

    def run(self) -> Pushed:
        if self._policy.method == COMMAND:
            return self._by_command("")
        if self._policy.method == EIC:
            return self._by_eic()
        if self._target.hybrid:
            self._log.info("EC2 Instance Connect does not support managed nodes (mi-): using send-command")
            return self._by_command("")
        known = self._known
        if known is not None:
            why = (
                f"EC2 Instance Connect accepted the key for {self._target.instance_id} on {_day(known.since)}, but "
                "sshd there did not (ec2-instance-connect missing, or SELinux)"
            )
            try:
                return self._by_command(f"{why}: using send-command until {_day(known.until)}", lasting=True)
            except AccessDenied as error:  # EC2 Instance Connect needs fewer rights, and may work by now
                if self._unfit():
                    raise
                self._log.info(error.sentence())
                pushed = self._by_eic()
                return pushed._replace(notice=f"{why}; trying it again, since send-command is denied")
        reason = self._unfit()
        if reason:
            return self._by_command(
                f"EC2 Instance Connect cannot be used here ({reason}): using send-command", lasting=True
            )
        # The user may be asked for a code or a login, which has its own time limit.
        self._api.credentials.get()
        attempt = Attempt(self._by_eic, self._ssm_answers)
        try:
            by_eic = attempt.run()
        except AccessDenied as error:
            if not self._policy.after_denied:
                raise
            self._log.info(error.sentence())
            return self._by_command(f"{error.message}: using send-command, as the settings allow")
        except TargetMissing:
            raise
        except AwsError as error:
            if not _cannot(error):
                raise
            self._log.info(error.sentence())
            return self._by_command(
                f"EC2 Instance Connect cannot be used here ({error.code}): using send-command", lasting=True
            )
        return by_eic or self._without_eic(attempt)

    def _without_eic(self, attempt: Attempt[Pushed]) -> Pushed:
        """Push by Run Command, as EC2 Instance Connect cannot be reached; a late answer from it still counts."""
        self._log.info(f"EC2 Instance Connect cannot be reached, and Systems Manager can: {attempt.why}")
        why = f"EC2 Instance Connect cannot be reached ({attempt.why}): using send-command"
        try:
            return self._by_command(why)
        except SsmSshError:
            if (late := attempt.pushed) is not None:
                return late
            raise
        finally:
            attempt.abandon()
            if isinstance(attempt.error, AccessDenied) and not self._policy.after_denied:
                raise attempt.error

    def _ssm_answers(self) -> bool:
        """Return whether AWS answers a call of Systems Manager, even with an error."""
        instance = self._target.instance_id
        deadline = time.monotonic() + _SSM_LIMIT
        try:
            self._api.call("ssm", "GetConnectionStatus", {"Target": instance}, target=instance, deadline=deadline)
        except AwsError as error:
            return bool(error.code)
        except SsmSshError:
            return False
        return True

    def _unfit(self) -> str:
        """Return why EC2 Instance Connect would refuse the request, "" if it would not."""
        if not self._key.for_eic:
            return f"it accepts RSA and Ed25519 keys, not {self._key.kind}"
        try:
            push_payload(self._target, self._user, self._key.line)
        except UsageError as error:
            return error.message
        return ""

    def _by_eic(self, reached: Callable[[bool], None] | None = None) -> Pushed:
        began = self._clock()
        if not self._key.for_eic:
            raise UsageError(
                f"EC2 Instance Connect accepts RSA and Ed25519 keys, not {self._key.kind}",
                'Use another key, or send-command: push = "auto" in the settings',
            )
        try:
            push_key(self._api, self._target, self._user, self._key.line, reached=reached)
        except AccessDenied as error:
            # Before whom to ask: the user may not need help, and a line that is too long is cut at its end.
            setting = 'push = "send-command"' + (' or push_after_denied = "yes"' if self._policy.method == AUTO else "")
            hint = (
                f"Use Run Command instead, if you are allowed to: {setting} in ssm-ssh's settings. Else: {error.hint}"
            )
            raise AccessDenied(
                error.message, hint, code=error.code, operation=error.operation, status=error.status
            ) from error
        self._log.debug("EC2 Instance Connect has accepted the key")
        return Pushed(EIC, began + EIC_LIFETIME)

    def _by_command(self, notice: str, *, lasting: bool = False) -> Pushed:
        began = self._clock()
        entry_id = os.urandom(8).hex()
        from ssm_ssh.remote import script

        data = script.request(
            "push",
            self._user,
            self._key.line,
            entry_id,
            lifetime=self._policy.lifetime,
            needs_expiry=not self._key.ours,
        )
        # Before the command is sent, since this process may be ended while it runs.
        entry = push_journal.Entry(entry_id, self._target.instance_id, self._user, began + self._policy.lifetime)
        self._note(lambda: push_journal.expected(entry._replace(expires=entry.expires + _COMMAND_LIMIT, heard=False)))
        try:
            done = send(self._api, self._target, self._user, data, self._policy)
        except SsmSshError as error:
            if _surely_failed(error):
                self._note(lambda: push_journal.never_placed(entry_id))
            if notice:  # which says why Run Command was used
                error.message = f"{notice}; {error.message}"
            raise
        notes = [f"{self._target.instance_id} reports: {note}" for note in done.notes]
        for note in notes:
            self._log.info(note)
        self._log.info(f"send-command has written entry {entry_id}, sshd {done.sshd}")
        # A command may have waited before it ran, and its end is reported seconds late.
        now = self._clock()
        until = now - min(now - began, _REPORT_DELAY) + self._policy.lifetime
        self._note(lambda: push_journal.placed(entry._replace(expires=until), now))
        told = ". ".join([part for part in (notice, *notes) if part])
        return Pushed(COMMAND, until, told, notice if lasting else "")

    def _note(self, change: Callable[[], None]) -> None:
        try:
            change()
        except StateError as error:
            self._log.info(f"the push is not recorded: {error.sentence()}")


def send(api: Api, target: Target, user: str, data: str, policy: PushPolicy) -> Placed:
    """Run the script with `data` on `target`, by AWS-RunShellScript or by the document that contains it."""
    from ssm_ssh.remote import script

    about = f"ssm-ssh: a public key for {user}, for {policy.lifetime} seconds"
    if policy.document == SHELL_DOCUMENT:
        output = run_script(api, target.instance_id, script.script(data), timeout=_COMMAND_LIMIT, comment=about)
    else:
        output = run_document(
            api, target.instance_id, policy.document, {"Data": data}, timeout=_COMMAND_LIMIT, comment=about
        )
    return script.result(output.stdout, output.stderr, target.instance_id)


def sweep(api: Api, target: Target, user: str, policy: PushPolicy, *, clock: Callable[[], float] = time.time) -> None:
    """Remove expired entries of ssm-ssh from the account's file by Run Command, and record that. Raises as a push."""
    from ssm_ssh.remote import script

    data = script.request("sweep", user, f"ssh-none {'A' * 40}", "0" * 16)
    send(api, target, user, data, policy)
    push_journal.swept(target.instance_id, user, clock())


def _surely_failed(error: SsmSshError) -> bool:
    """Return whether a command that failed with `error` has certainly written no entry."""
    if isinstance(error, KeyRefused):
        return error.code != "unknown"
    if isinstance(error, AwsError):
        return error.operation == "SendCommand" and error.status < 500
    if isinstance(error, NetworkError):
        return error.unsent
    return isinstance(error, UsageError | CredentialsError)


def _cannot(error: AwsError) -> bool:
    kind = error.code
    for suffix in ("Exception", "Error", "Fault"):
        kind = kind.removesuffix(suffix)
    return kind in _CANNOT


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(when))
