# Over 350 lines: one stand-in for AWS serves every case of one decision.
"""Which method is taken, and what an error of one means for the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssm_ssh.auth import push as push_module
from ssm_ssh.auth import push_journal, reachability, singleflight
from ssm_ssh.auth.identity import UserKey
from ssm_ssh.auth.push import PushPolicy
from ssm_ssh.aws.api.errors import explain
from ssm_ssh.aws.api.refusal import Refusal
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import (
    AccessDenied,
    AwsError,
    CommandFailed,
    CommandTimedOut,
    KeyRefused,
    NetworkError,
    NotTrusted,
    ProtocolError,
    ProxyRefused,
    SsmSshError,
    TargetMissing,
    Throttled,
    UsageError,
)
from ssm_ssh.storage import json_store
from ssm_ssh.target import Target, parse_target

OURS = UserKey("ssh-ed25519 " + "A" * 68)
ECDSA = UserKey("ecdsa-sha2-nistp256 " + "A" * 140, ours=False)
EC2 = parse_target("i-0123456789abcdef0")
NODE = parse_target("mi-0123456789abcdef0")


def user_of(target: Target) -> str:
    return "admin" if target == NODE else "ec2-user"


DENIED = AccessDenied("ec2-instance-connect:SendSSHPublicKey is not allowed", "Ask", code="AccessDeniedException")
DONE = "ssm-ssh note the home is open\nssm-ssh done 0123456789abcdef 1700000060 9.2\n"


class Aws:
    """AWS as the two push_module see it: what was called, and what each answers."""

    def __init__(self) -> None:
        self.settings = load(region="eu-central-1", env={"HOME": "/nowhere"})
        self.called: list[str] = []
        self.eic: SsmSshError | None = None
        self.command: BaseException | str = DONE
        self.document = ""
        self.now = 1_700_000_000.0
        self.said: list[str] = []
        self.credentials = SimpleNamespace(get=lambda: None)
        self.ssm: SsmSshError | None = None
        self.ssm_delay = 0.0
        self.silence: threading.Event | None = None  # until when EC2 Instance Connect says nothing
        self.retrying = self.connected = False

    def call(self, service: str, operation: str, *_: object, **__: object) -> dict[str, str]:
        self.called.append(service)
        time.sleep(self.ssm_delay)
        if self.ssm:
            raise self.ssm
        return {"Status": "connected"}

    def push_key(
        self, _: object, target: Target, user: str, key: str, *, reached: Callable[[bool], None] | None = None
    ) -> None:
        self.called.append("eic")
        if reached and (self.retrying or self.connected):
            reached(self.retrying)
        if self.silence:
            self.silence.wait(60)
        if self.eic:
            raise self.eic

    def run(self, _: object, instance_id: str, script: str, *more: Any, **kw: Any) -> Any:  # noqa: ANN401
        self.called.append("command")
        self.document = script
        if isinstance(self.command, BaseException):
            raise self.command
        return SimpleNamespace(exit_code=0, stdout=self.command, stderr="")

    def authorize(
        self,
        target: Target = EC2,
        key: UserKey = OURS,
        user: str = "",
        **policy: Any,  # noqa: ANN401
    ) -> singleflight.Pushed | None:
        log = SimpleNamespace(info=self.said.append, debug=self.said.append)
        api: Any = lambda: self  # noqa: E731
        return push_module.authorize(
            api, target, user or user_of(target), key, PushPolicy(**policy), log=log, clock=lambda: self.now
        )  # type: ignore[arg-type]


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aws:
    aws = Aws()
    for module in (json_store, singleflight):
        monkeypatch.setattr(module, "state_folder", lambda: tmp_path / "state")
    monkeypatch.setattr(push_module, "push_key", aws.push_key)
    monkeypatch.setattr(push_module, "run_script", aws.run)
    monkeypatch.setattr(push_module, "run_document", aws.run)
    return aws


@pytest.mark.parametrize(
    ("target", "policy", "called"),
    [
        (EC2, {}, ["eic"]),
        (NODE, {}, ["command"]),
        (EC2, {"method": "eic"}, ["eic"]),
        (EC2, {"method": "send-command"}, ["command"]),
        (EC2, {"method": "none"}, []),
        (NODE, {"method": "none"}, []),
    ],
)
def test_each_policy_has_its_method(aws: Aws, target: Target, policy: dict[str, Any], called: list[str]) -> None:
    pushed = aws.authorize(target, **policy)
    assert aws.called == called
    assert (pushed is None) == (called == [])


def test_eic_alone_is_refused_a_key_that_it_does_not_take(aws: Aws) -> None:
    with pytest.raises(UsageError):
        aws.authorize(EC2, ECDSA, method="eic")
    assert aws.called == []


CANNOT = [
    AwsError("x", code=code)
    for code in (
        "EC2InstanceUnavailableException",
        "InvalidArgsException",
        "ValidationException",
        "UnsupportedOperation",
    )
]
FINAL = [
    DENIED,
    TargetMissing("x", code="EC2InstanceNotFoundException"),
    TargetMissing("x", code="EC2InstanceStateInvalidException"),
    Throttled("x", code="ThrottlingException"),
    AwsError("x", code="ServiceException", status=500),
]


@pytest.mark.parametrize("error", CANNOT, ids=lambda error: error.code)
def test_an_unusable_method_falls_over_with_a_notice(aws: Aws, error: SsmSshError) -> None:
    aws.eic = error
    pushed = aws.authorize()
    assert aws.called == ["eic", "command"]
    assert pushed
    assert pushed.notice.startswith("EC2 Instance Connect cannot be used here (")
    assert pushed.notice.endswith(f"using send-command. {EC2.instance_id} reports: the home is open")
    assert pushed.notice == f"{pushed.lasting}. {EC2.instance_id} reports: the home is open"


def proxy_page(status: int, text: str = "") -> AwsError:
    """What an answer that is not AWS's leads to."""
    error = explain(Refusal("SendSSHPublicKey", EC2.instance_id, status, "", text), load(region="eu-west-1", env={}))
    assert isinstance(error, AwsError)
    return error


UNREACHABLE = [
    NetworkError("eic:443 refuses connections"),
    ProxyRefused("the proxy answered CONNECT with 407"),
    NotTrusted("the TLS certificate of eic is self-signed"),
    ProtocolError("eic gave no usable answer"),
    proxy_page(403),
    proxy_page(502),
]


@pytest.mark.parametrize("ssm", [None, DENIED], ids=["answers", "denies"])
@pytest.mark.parametrize("error", UNREACHABLE, ids=lambda error: f"{type(error).__name__}-{str(error)[:30]}")
def test_an_unreachable_endpoint_falls_over_and_is_not_remembered(
    aws: Aws, error: SsmSshError, ssm: SsmSshError | None
) -> None:
    aws.eic, aws.ssm = error, ssm
    for _ in range(2):
        aws.called.clear()
        pushed = aws.authorize()
        assert aws.called == ["eic", "ssm", "command"]
        assert pushed
        assert pushed.method == "send-command"
        assert pushed.notice.startswith("EC2 Instance Connect cannot be reached (")
        aws.now += 25
    assert push_journal.ineffective(EC2.instance_id, aws.now) is None
    aws.eic = None
    aws.authorize()
    assert aws.called[-1] == "eic"


@pytest.mark.parametrize("error", UNREACHABLE, ids=lambda error: type(error).__name__)
def test_without_systems_manager_or_where_it_is_forbidden_it_is_an_error(aws: Aws, error: SsmSshError) -> None:
    aws.eic = error
    with pytest.raises(type(error)):
        aws.authorize(method="eic")
    assert aws.called == ["eic"]
    aws.ssm = NetworkError("no route")
    with pytest.raises(type(error)):
        aws.authorize()
    assert aws.called == ["eic", "eic", "ssm"]


def test_a_denial_without_a_code_is_a_denial(aws: Aws) -> None:
    aws.eic = proxy_page(403, "User: x is not authorized to perform: ec2-instance-connect:SendSSHPublicKey")
    with pytest.raises(AwsError):
        aws.authorize()
    assert aws.called == ["eic"]


@pytest.fixture
def silence(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    monkeypatch.setattr(reachability, "ASK_AFTER", 0.05)
    monkeypatch.setattr(reachability, "CONNECT_PATIENCE", 0.05)
    aws.silence = threading.Event()
    yield aws.silence
    aws.silence.set()


def test_silence_falls_over(aws: Aws, silence: threading.Event) -> None:
    pushed = aws.authorize()
    assert aws.called == ["eic", "ssm", "command"]
    assert pushed
    assert pushed.notice.startswith("EC2 Instance Connect cannot be reached (it does not answer): using send-command")


def test_a_slow_network_is_not_a_silent_endpoint(aws: Aws, silence: threading.Event) -> None:
    aws.ssm_delay = 0.4
    threading.Timer(0.6, silence.set).start()
    pushed = aws.authorize()
    assert aws.called == ["eic", "ssm"]
    assert pushed
    assert pushed.method == "eic"


def test_no_silence_is_cut_short_where_systems_manager_is_silent_too(aws: Aws, silence: threading.Event) -> None:
    aws.ssm = NetworkError("no route")
    threading.Timer(0.3, silence.set).start()
    pushed = aws.authorize()
    assert aws.called == ["eic", "ssm"]
    assert pushed
    assert (pushed.method, pushed.notice) == ("eic", "")


def test_a_call_that_aws_has_answered_is_waited_for(aws: Aws, silence: threading.Event) -> None:
    aws.retrying = True  # it throttles, say
    threading.Timer(0.3, silence.set).start()
    pushed = aws.authorize()
    assert aws.called == ["eic"]
    assert pushed
    assert pushed.method == "eic"


def test_an_endpoint_that_has_taken_the_connection_may_deny_yet(aws: Aws, silence: threading.Event) -> None:
    aws.connected, aws.eic = True, DENIED
    threading.Timer(0.3, silence.set).start()
    with pytest.raises(AccessDenied):
        aws.authorize()
    assert aws.called == ["eic", "ssm"]


def test_a_connection_without_an_answer_falls_over_later(
    aws: Aws, silence: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "ANSWER_PATIENCE", 0.05)
    aws.connected = True
    pushed = aws.authorize()
    assert aws.called == ["eic", "ssm", "command"]
    assert pushed
    assert "it does not answer" in pushed.notice


def test_an_answer_that_comes_late_does_no_harm(
    aws: Aws, silence: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> object:
        silence.set()
        while aws.called[-1] != "pushed":
            time.sleep(0.01)
        if isinstance(aws.command, BaseException):
            raise aws.command
        return SimpleNamespace(exit_code=0, stdout=aws.command, stderr="")

    def push(*arguments: Any, **values: Any) -> None:  # noqa: ANN401
        try:
            Aws.push_key(aws, *arguments, **values)
        finally:
            threading.Timer(0.05, lambda: aws.called.append("pushed")).start()

    monkeypatch.setattr(push_module, "push_key", push)
    monkeypatch.setattr(push_module, "run_script", run)
    pushed = aws.authorize()
    assert pushed
    assert pushed.method == "send-command"
    assert push_journal.ineffective(EC2.instance_id, aws.now) is None
    aws.now += 100
    silence.clear()
    aws.command = aws_error(AccessDenied, "SendCommand", 400)
    pushed = aws.authorize()
    assert pushed
    assert pushed.method == "eic", "the command was denied, and the late answer is as good as any"
    aws.now += 100
    silence.clear()
    aws.command, aws.eic = DONE, DENIED
    with pytest.raises(AccessDenied, match="SendSSHPublicKey"):
        aws.authorize()


@pytest.mark.parametrize("method", ["auto", "eic"])
@pytest.mark.parametrize("error", FINAL, ids=lambda error: getattr(error, "code", "network"))
def test_any_other_error_is_final(aws: Aws, error: SsmSshError, method: str) -> None:
    aws.eic = error
    with pytest.raises(type(error)):
        aws.authorize(method=method)
    assert aws.called == ["eic"]


def test_a_denial_falls_over_only_where_that_is_allowed(aws: Aws) -> None:
    aws.eic = DENIED
    pushed = aws.authorize(after_denied=True)
    assert aws.called == ["eic", "command"]
    assert pushed
    assert "not allowed: using send-command, as the settings allow" in pushed.notice
    assert pushed.lasting == "", "it is told at every connection"


@pytest.mark.parametrize("user", ["a" * 33, "1000", "x@y+z"])
def test_a_user_name_that_it_does_not_take(aws: Aws, user: str) -> None:
    aws.authorize(user=user)
    assert aws.called == ["command"]


def test_a_key_that_it_does_not_take_needs_an_expiry_there(aws: Aws) -> None:
    pushed = aws.authorize(EC2, ECDSA)
    assert aws.called == ["command"]
    assert pushed
    assert "not ecdsa-sha2-nistp256" in pushed.notice


def test_an_ineffective_method_is_not_tried_until_the_record_expires(aws: Aws) -> None:
    aws.authorize()
    push_journal.learn(EC2.instance_id, aws.now, effective=False)
    pushed = aws.authorize()  # and what was pushed a moment ago is not shared
    assert aws.called == ["eic", "command"]
    assert pushed
    assert "sshd there did not (ec2-instance-connect missing, or SELinux): using send-command until" in pushed.notice
    aws.now += 8 * 86400
    aws.authorize()
    assert aws.called == ["eic", "command", "eic"]


@pytest.mark.parametrize("error", [KeyRefused("no", code="no-user"), CommandTimedOut("late"), DENIED])
def test_the_error_of_a_command_is_raised(aws: Aws, error: SsmSshError) -> None:
    aws.command = error
    with pytest.raises(type(error)):
        aws.authorize(NODE)


def test_a_script_that_fails_is_explained(aws: Aws) -> None:
    aws.command = "ssm-ssh error no-user there is no user admin; users there: ubuntu\x1b[2J\n"
    with pytest.raises(KeyRefused) as error:
        aws.authorize(NODE)
    assert error.value.sentence() == (
        "mi-0123456789abcdef0 did not take the key: there is no user admin; users there: ubuntu [2J. "
        "Name the user: ssh USER@..."
    )


def test_an_entry_is_remembered_until_a_later_push_has_swept(aws: Aws) -> None:
    aws.authorize(NODE)
    (first,) = push_journal.entries()
    assert (first.instance_id, first.user, first.expires) == (NODE.instance_id, "admin", aws.now + 60)
    aws.now += 100
    aws.authorize(NODE)
    assert [entry.entry_id != first.entry_id for entry in push_journal.entries()] == [True]
    aws.now += 100
    push_module.sweep(aws, NODE, "admin", PushPolicy(), clock=lambda: aws.now)  # type: ignore[arg-type]
    assert push_journal.entries() == []


def silent() -> NetworkError:
    error = NetworkError("nobody")
    error.unsent = True
    return error


def aws_error(kind: type[AwsError], operation: str, status: int) -> AwsError:
    return kind("no", operation=operation, status=status)


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (KeyRefused("no", code="no-user"), 0),
        (KeyRefused("what?", code="unknown"), 1),
        (CommandTimedOut("late"), 1),
        (CommandFailed("cut off"), 1),
        (NetworkError("gone"), 1),
        (silent(), 0),
        (aws_error(AccessDenied, "SendCommand", 400), 0),
        (aws_error(AccessDenied, "GetCommandInvocation", 400), 1),
        (aws_error(AwsError, "SendCommand", 500), 1),
        (ProtocolError("what?"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_an_entry_is_noted_before_the_command_may_put_it_in(aws: Aws, error: BaseException, left: int) -> None:
    aws.authorize(NODE)
    aws.now += 100
    aws.command = error
    with pytest.raises(type(error)):
        aws.authorize(NODE)
    former, *added = push_journal.entries()
    assert former.expires == aws.now - 40, "nothing is known to have swept it"
    assert [entry.expires for entry in added] == [aws.now + 150] * left


def test_the_error_of_a_command_says_why_it_was_used(aws: Aws) -> None:
    aws.eic, aws.command = AwsError("x", code="UnsupportedOperation"), KeyRefused("the file is locked", code="lock")
    with pytest.raises(KeyRefused) as error:
        aws.authorize()
    assert error.value.message == (
        "EC2 Instance Connect cannot be used here (UnsupportedOperation): using send-command; the file is locked"
    )


def test_an_ineffective_method_is_tried_again_if_commands_are_denied(aws: Aws) -> None:
    push_journal.learn(EC2.instance_id, aws.now, effective=False)
    aws.command = aws_error(AccessDenied, "SendCommand", 400)
    pushed = aws.authorize()
    assert pushed
    assert aws.called == ["command", "eic"]
    assert pushed.method == "eic"
    assert pushed.notice.endswith("missing, or SELinux); trying it again, since send-command is denied")


def test_nor_is_it_tried_again_with_a_key_that_it_does_not_take(aws: Aws) -> None:
    push_journal.learn(EC2.instance_id, aws.now, effective=False)
    aws.command = aws_error(AccessDenied, "SendCommand", 400)
    with pytest.raises(AccessDenied):
        aws.authorize(key=ECDSA)
    assert aws.called == ["command"]


def test_a_note_of_the_instance_is_attributed_to_it(aws: Aws) -> None:
    aws.command = "ssm-ssh note accept my key\nssm-ssh done 0123456789abcdef 0 9.6\n"
    pushed = aws.authorize(NODE)
    assert pushed
    assert pushed.notice == f"{NODE.instance_id} reports: accept my key"


def test_every_entry_that_may_be_there_yet_is_remembered(aws: Aws) -> None:
    for _ in range(3):
        aws.authorize(NODE)
        aws.now += 25
    assert len(push_journal.entries()) == 3
    aws.now += 15
    aws.authorize(NODE)
    assert len(push_journal.entries()) == 2, "the first two had expired, and were swept"


@pytest.mark.parametrize("when", ["1e400", "1e18", "-1", "NaN", '"x"', "null"])
def test_a_time_that_is_none_is_not_remembered(aws: Aws, tmp_path: Path, when: str) -> None:
    aws.authorize(NODE)
    (path,) = tmp_path.rglob(push_journal.NAME)
    entry = f'"0":{{"instance":"{EC2.instance_id}","user":"u","expires":{when}}}'
    seen = f'"{EC2.instance_id}":{{"since":{when},"until":{when}}}'
    path.write_text(f'{{"eic":{{{seen}}},"entries":{{{entry}}}}}')
    assert push_journal.entries() == []
    assert push_journal.ineffective(EC2.instance_id, aws.now) is None


def test_a_document_of_ones_own(aws: Aws) -> None:
    aws.authorize(NODE, document="SsmSsh-PushKey")
    assert aws.document == "SsmSsh-PushKey"


def test_a_push_is_shared_while_it_is_recent_and_only_for_the_same_account(aws: Aws) -> None:
    for _ in range(3):
        aws.authorize()
    assert aws.called == ["eic"]
    aws.authorize(user="other")
    aws.authorize(EC2, UserKey("ssh-ed25519 " + "B" * 68))
    aws.settings = aws.settings.replace(profile="other")
    aws.authorize()
    assert aws.called == ["eic"] * 4
    aws.now += 25
    aws.authorize()
    assert aws.called == ["eic"] * 5


@pytest.mark.parametrize(("method", "after"), [("auto", True), ("eic", False)])
def test_a_denial_names_the_setting_that_helps(aws: Aws, method: str, after: bool) -> None:
    arn = f"arn:aws:ec2:eu-central-1:123456789012:instance/{EC2.instance_id}"
    said = (
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: ec2-instance-connect:SendSSHPublicKey "
        f"on resource: {arn} with an explicit deny in a service control policy"
    )
    denied = explain(Refusal("SendSSHPublicKey", EC2.instance_id, 400, "AccessDeniedException", said), aws.settings)
    aws.eic = denied
    with pytest.raises(AccessDenied) as caught:
        aws.authorize(method=method)
    assert 'push = "send-command"' in caught.value.sentence(300)
    assert ('push_after_denied = "yes"' in caught.value.sentence(300)) is after
    assert caught.value.sentence().endswith("ask the owner of that policy")


def test_an_error_is_not_kept(aws: Aws) -> None:
    aws.eic = DENIED
    for _ in range(2):
        with pytest.raises(AccessDenied):
            aws.authorize()
        aws.now += 1
    aws.eic = None
    aws.authorize()
    assert aws.called == ["eic"] * 3


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"eic": 3, "entries": {"x": 1}}', b"\xff" * 100])
def test_a_memory_that_cannot_be_read_is_as_good_as_none(aws: Aws, tmp_path: Path, content: bytes) -> None:
    aws.authorize(NODE)
    for name in (push_journal.NAME, singleflight.NAME):
        (tmp_path / "state" / name).write_bytes(content)
    aws.authorize(NODE)
    assert aws.called == ["command", "command"]
    assert len(push_journal.entries()) == 1
