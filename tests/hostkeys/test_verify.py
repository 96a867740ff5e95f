from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services import instances
from ssm_ssh.errors import (
    AccessDenied,
    CommandTimedOut,
    HostKeyChanged,
    HostKeyRefused,
    NetworkError,
    StateError,
    Throttled,
)
from ssm_ssh.hostkeys import admin, console, instance_files, known_hosts, verify
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile
from ssm_ssh.hostkeys.sources import (
    AMBIGUOUS,
    COMMAND,
    CONSOLE,
    DENIED,
    EMPTY,
    FAILED,
    REPORTED,
    Report,
    Sources,
    aws_sources,
    reasons,
)
from ssm_ssh.hostkeys.verdict import CONFIRMED, CONTRADICTED, NOT_NOW, UNCONFIRMED, UNVERIFIED, conclude, consult
from ssm_ssh.hostkeys.verify import Server, check
from ssm_ssh.log import Log
from ssm_ssh.ssh.hostkey import HostKey, Shown
from tests.ssh.streams import ed25519, string

INSTANCE = "i-0123456789abcdef0"
NODE = "mi-0123456789abcdef1"
KEY, SECOND, EVIL = ed25519(1), ed25519(2), ed25519(6)

# Every answer of a source to the question for KEY; None: it is not asked.
STATUSES: dict[str, tuple[str, frozenset[HostKey]] | None] = {
    "same": (REPORTED, frozenset({KEY, SECOND})),
    "other": (REPORTED, frozenset({EVIL})),
    "silent": (EMPTY, frozenset()),
    "doubtful": (AMBIGUOUS, frozenset()),
    "denied": (DENIED, frozenset()),
    "failed": (FAILED, frozenset()),
    "none": None,
}


class Asked:
    """Sources that answer as told, and what was asked of them."""

    def __init__(self, console: str, command: str) -> None:
        self.asked: list[str] = []
        self.sources = Sources(self._source(CONSOLE, console), self._source(COMMAND, command))

    def _source(self, source: str, kind: str) -> Callable[[], Report] | None:
        answer = STATUSES[kind]
        if answer is None:
            return None

        def call() -> Report:
            self.asked.append(source)
            return Report(source, *answer, reason="" if answer[0] == REPORTED else f"{source} {kind}")

        return call


def judged(console: str, command: str, *, changed: bool) -> str:
    return conclude(KEY, consult(KEY, Asked(console, command).sources, changed=changed), changed=changed)


FIRST = {
    ("same", "none"): CONFIRMED,
    ("same", "other"): CONFIRMED,  # one source is enough, and the command costs
    ("other", "same"): CONTRADICTED,
    ("silent", "same"): CONFIRMED,
    ("doubtful", "same"): CONFIRMED,
    ("denied", "same"): CONFIRMED,
    ("failed", "same"): CONFIRMED,
    ("none", "same"): CONFIRMED,
    ("silent", "other"): CONTRADICTED,
    ("denied", "other"): CONTRADICTED,
    ("none", "other"): CONTRADICTED,
    ("denied", "denied"): UNVERIFIED,
    ("silent", "denied"): UNVERIFIED,
    ("none", "denied"): UNVERIFIED,
    ("doubtful", "denied"): UNCONFIRMED,
    ("failed", "denied"): NOT_NOW,
    ("denied", "failed"): NOT_NOW,
    ("silent", "failed"): NOT_NOW,
    ("none", "failed"): NOT_NOW,
    ("doubtful", "failed"): NOT_NOW,
    ("denied", "silent"): UNCONFIRMED,
    ("silent", "silent"): UNCONFIRMED,
    ("none", "doubtful"): UNCONFIRMED,
}
CHANGED = {
    ("same", "same"): CONFIRMED,
    ("denied", "same"): CONFIRMED,
    ("same", "denied"): CONFIRMED,
    ("none", "same"): CONFIRMED,
    ("same", "other"): CONTRADICTED,
    ("other", "same"): CONTRADICTED,
    ("silent", "same"): UNCONFIRMED,
    ("doubtful", "same"): UNCONFIRMED,
    ("failed", "same"): NOT_NOW,
    ("same", "failed"): NOT_NOW,
    ("same", "silent"): UNCONFIRMED,
    ("same", "doubtful"): UNCONFIRMED,
    ("denied", "denied"): UNCONFIRMED,
    ("none", "denied"): UNCONFIRMED,
    ("none", "other"): CONTRADICTED,
    ("none", "failed"): NOT_NOW,
}


@pytest.mark.parametrize(("answers", "verdict"), list(FIRST.items()), ids="-".join)
def test_the_first_key(answers: tuple[str, str], verdict: str) -> None:
    assert judged(*answers, changed=False) == verdict


@pytest.mark.parametrize(("answers", "verdict"), list(CHANGED.items()), ids="-".join)
def test_another_key(answers: tuple[str, str], verdict: str) -> None:
    assert judged(*answers, changed=True) == verdict


@pytest.mark.parametrize(("console", "command"), list(itertools.product(STATUSES, STATUSES)))
def test_invariants_of_every_pair_of_reports(console: str, command: str) -> None:
    both = {console, command} - {"none"}
    first, other = judged(console, command, changed=False), judged(console, command, changed=True)
    if first == CONFIRMED:
        assert "same" in both
    if other == CONFIRMED:
        assert "same" in both
        assert both <= {"same", "denied"}
    assert other != UNVERIFIED
    if first == UNVERIFIED:  # never because of what a moment later could be otherwise
        assert both <= {"denied", "silent"}
        assert command in ("denied", "none")


@pytest.mark.parametrize("command", list(STATUSES))
def test_no_command_is_sent_where_the_console_decides(command: str) -> None:
    for kind, changed in (("same", False), ("other", False), ("other", True), ("doubtful", True), ("failed", True)):
        asked = Asked(kind, command)
        consult(KEY, asked.sources, changed=changed)
        assert asked.asked == [CONSOLE]


# --- with files -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(known_hosts, "data_folder", lambda: tmp_path / "data")
    return tmp_path / "data"


WHERE = Server(INSTANCE, 22, INSTANCE, "eu-central-1 default")
NEVER = Asked("none", "none")


def judge(
    console: str,
    command: str,
    key: HostKey = KEY,
    where: Server = WHERE,
    *,
    require: bool = False,
    judged_by_ssh: bool = True,
) -> tuple[str, list[str]]:
    asked = Asked(console, command)
    said = check(where, key, asked.sources, require=require, judged_by_ssh=judged_by_ssh, log=Log(None))
    return said, asked.asked


def known(name: str = INSTANCE) -> frozenset[HostKey]:
    return HostFile(KNOWN).keys(name)


def know(*keys: HostKey, name: str = INSTANCE) -> None:
    HostFile(KNOWN).record([name], keys, "console, 2026-01-01, eu-central-1 default")


def test_a_known_key_costs_no_question_and_no_writing(home: Path) -> None:
    know(KEY)
    before = (home / KNOWN).stat().st_ino
    assert judge("other", "other") == ("", [])
    assert (home / KNOWN).stat().st_ino == before


def test_a_first_key_that_is_confirmed_is_recorded_silently_with_its_fellows() -> None:
    assert judge("same", "none") == ("", [CONSOLE])
    assert known() == {KEY, SECOND}
    assert judge("other", "other", SECOND) == ("", [])


def test_a_first_key_that_no_source_may_confirm_is_recorded_with_a_notice() -> None:
    said, _ = judge("denied", "denied")
    assert "recorded unverified" in said
    assert KEY.fingerprint in said
    assert "console denied" in said
    assert known() == {KEY}
    assert judge("denied", "denied") == ("", [])


@pytest.mark.parametrize("judged_by_ssh", [True, False])
@pytest.mark.parametrize(
    "answers", [key for key, verdict in FIRST.items() if verdict in (CONTRADICTED, UNCONFIRMED, NOT_NOW)]
)
def test_other_first_keys_are_refused_in_words(answers: tuple[str, str], judged_by_ssh: bool) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        judge(*answers, judged_by_ssh=judged_by_ssh)
    assert known() == frozenset()
    assert f"ssm-ssh host-keys accept {INSTANCE}" in caught.value.sentence()
    assert KEY.fingerprint in caught.value.sentence()
    assert ("Try again" in caught.value.sentence()) == (FIRST[answers] == NOT_NOW)


def test_required_verification_records_nothing_unverified() -> None:
    with pytest.raises(HostKeyRefused, match="no source may confirm it"):
        judge("denied", "denied", require=True)
    assert known() == frozenset()
    assert judge("same", "none", require=True) == ("", [CONSOLE])


@pytest.mark.parametrize("answers", [("other", "same"), ("doubtful", "denied"), ("failed", "failed")])
def test_a_key_that_was_refused_is_never_a_first_key_again(answers: tuple[str, str]) -> None:
    with pytest.raises(HostKeyRefused):
        judge(*answers)
    with pytest.raises(HostKeyRefused, match="was refused before") as caught:
        judge("denied", "denied")
    assert f"host-keys accept {INSTANCE} {KEY.fingerprint}" in caught.value.sentence()
    assert known() == frozenset()
    with pytest.raises(HostKeyRefused, match="was refused before"):
        judge("denied", "denied", SECOND)  # nor is another one, for whoever is in between may have many
    assert judge("same", "none") == ("", [CONSOLE])


def test_a_refusal_counts_for_the_whole_instance() -> None:
    """Whoever is in between for one port is in between for all."""
    elsewhere = Server(INSTANCE, 2222, INSTANCE, WHERE.origin)
    with pytest.raises(HostKeyRefused):
        judge("other", "none", KEY)
    with pytest.raises(HostKeyRefused, match="another was refused before"):
        judge("denied", "denied", KEY, elsewhere)


def test_a_contradiction_takes_back_every_name() -> None:
    elsewhere = Server(INSTANCE, 2222, INSTANCE, OTHERS.origin)
    for place in (WHERE, elsewhere):
        judge("denied", "denied", KEY, place)
    with pytest.raises(HostKeyRefused):
        judge("other", "none", KEY, OTHERS)
    assert not HostFile(KNOWN).entries(INSTANCE)
    with pytest.raises(HostKeyRefused):
        judge("denied", "denied", KEY, elsewhere)


def test_a_full_disk_does_not_hide_why_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StateError("cannot use refused_hosts: No space left on device")

    monkeypatch.setattr(HostFile, "record", full)
    with pytest.raises(HostKeyRefused, match="the connection may be intercepted"):
        judge("other", "none", KEY)


def test_credentials_are_told_apart_also_where_they_have_no_name() -> None:
    def origin(**env: str) -> str:
        return verify.origin(load(env={"HOME": "/nowhere", "AWS_REGION": "eu-west-1", **env}))

    keys = {"AWS_SECRET_ACCESS_KEY": "s"}
    one = origin(AWS_ACCESS_KEY_ID="AKIA1", **keys)
    assert one.startswith("eu-west-1 default ")
    assert one == origin(AWS_ACCESS_KEY_ID="AKIA1", **keys)
    assert one != origin(AWS_ACCESS_KEY_ID="AKIA2", **keys)
    assert "AKIA" not in one


OTHERS = Server(INSTANCE, 22, INSTANCE, "eu-central-1 admin")


def unverified(when: str = "") -> None:
    judge("denied", "denied")
    if when:
        HostFile(KNOWN).record([INSTANCE], {KEY}, f"unverified, {when}, {WHERE.origin}")


@pytest.mark.parametrize(("when", "where"), [("", OTHERS), ("2026-01-01", WHERE)], ids=["by others", "another day"])
def test_an_unverified_key_is_looked_up_again(when: str, where: Server) -> None:
    unverified(when)
    assert not verify.is_known(where)
    assert judge("denied", "denied", KEY, where) == ("", [CONSOLE, COMMAND])
    assert judge("denied", "denied", KEY, where) == ("", []), "and not more often"
    unverified(when)
    assert judge("failed", "failed", KEY, where) == ("", [CONSOLE, COMMAND])
    assert judge("same", "none", KEY, where) == ("", [CONSOLE])
    assert judge("other", "other", KEY, where) == ("", []), "it is confirmed now"
    assert known() == {KEY, SECOND}


def test_an_unverified_key_is_refused_once_it_is_contradicted() -> None:
    unverified()
    with pytest.raises(HostKeyRefused, match="differs from that of the console"):
        judge("other", "none", KEY, OTHERS)
    assert known() == frozenset()
    with pytest.raises(HostKeyRefused, match="was refused before"):
        judge("denied", "denied")


def test_required_verification_looks_up_an_unverified_key() -> None:
    unverified()
    for _ in range(2):
        with pytest.raises(HostKeyRefused, match="was recorded unverified, and nothing confirms it"):
            judge("denied", "denied", require=True)
    with pytest.raises(HostKeyRefused, match="was recorded unverified, and nothing confirms it"):
        judge("denied", "denied", require=True)
    assert judge("denied", "denied") == ("", []), "without it, nothing has changed"
    assert judge("same", "none", require=True) == ("", [CONSOLE])
    assert judge("none", "none", require=True) == ("", [])


def test_another_spelling_does_not_make_it_look_confirmed() -> None:
    unverified()
    spelled = WHERE._replace(host_name=f"{INSTANCE}.prod")
    assert judge("denied", "denied", KEY, spelled) == ("", [])
    assert {entry.comment.split(",")[0] for entry in HostFile(KNOWN).entries()} == {"unverified"}


def test_another_key_that_all_sources_confirm_replaces_the_old_ones_with_a_notice() -> None:
    know(EVIL)
    said, asked = judge("same", "same")
    assert asked == [CONSOLE, COMMAND]
    assert "confirmed by the console and send-command" in said
    assert known() == {KEY, SECOND}


@pytest.mark.parametrize("answers", [key for key, verdict in CHANGED.items() if verdict in (CONTRADICTED, UNCONFIRMED)])
def test_another_key_is_left_to_ssh_where_that_is_the_client(answers: tuple[str, str]) -> None:
    know(EVIL)
    with pytest.raises(HostKeyChanged) as seen:
        judge(*answers)
    assert f"ssm-ssh host-keys accept {INSTANCE}" in seen.value.sentence(300)
    assert known() == {EVIL}
    for circumstances in ({"judged_by_ssh": False}, {"require": True}):
        with pytest.raises(HostKeyRefused) as caught:
            judge(*answers, **circumstances)
        assert f"accept {INSTANCE}" in caught.value.hint
        assert not isinstance(caught.value, HostKeyChanged)
    assert known() == {EVIL}


@pytest.mark.parametrize("answers", [("failed", "same"), ("same", "failed"), ("none", "failed")])
def test_another_key_that_cannot_be_looked_up_now_is_refused(answers: tuple[str, str]) -> None:
    know(EVIL)
    with pytest.raises(HostKeyRefused, match="could not be verified") as caught:
        judge(*answers)
    assert "Try again" in caught.value.hint
    assert known() == {EVIL}


def test_another_type_of_key_is_another_key() -> None:
    know(KEY)
    with pytest.raises(HostKeyChanged):
        judge("denied", "denied", SECOND)
    assert known() == {KEY}


def test_only_keys_common_to_all_sources_are_recorded() -> None:
    know(EVIL)
    asked = Sources(
        lambda: Report(CONSOLE, REPORTED, frozenset({KEY, SECOND})), lambda: Report(COMMAND, REPORTED, frozenset({KEY}))
    )
    check(WHERE, KEY, asked, require=False, judged_by_ssh=True, log=Log(None))
    assert known() == {KEY}


def test_every_spelling_of_a_known_instance_is_known() -> None:
    know(KEY, SECOND)
    spelled = Server(INSTANCE, 22, f"{INSTANCE}.EU-central-1.Prod", "x")
    assert judge("none", "none", KEY, spelled) == ("", [])
    assert known(f"{INSTANCE}.eu-central-1.prod") == {KEY, SECOND}
    assert judge("none", "none", KEY, spelled) == ("", [])


def test_a_spelling_never_has_keys_of_its_own() -> None:
    know(KEY)
    know(EVIL, name=f"{INSTANCE}.x")
    with pytest.raises(HostKeyChanged):
        judge("denied", "denied", EVIL, Server(INSTANCE, 22, f"{INSTANCE}.x", "o"))
    assert known(f"{INSTANCE}.x") == {KEY}


def test_a_port_has_its_own_keys_and_starts_with_those_of_the_instance() -> None:
    other = Server(INSTANCE, 2222, INSTANCE, "x")
    know(KEY)
    assert judge("none", "none", KEY, other) == ("", [])
    assert known(f"[{INSTANCE}]:2222") == {KEY}
    know(SECOND, name=f"[{INSTANCE}]:2200")
    assert judge("none", "none", SECOND, Server(INSTANCE, 2200, INSTANCE, "x")) == ("", [])
    with pytest.raises(HostKeyChanged):
        judge("denied", "denied", KEY, Server(INSTANCE, 2200, INSTANCE, "x"))


# --- the sources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Shown(frozenset({KEY})), REPORTED),
        (Shown(frozenset()), EMPTY),
        (Shown(frozenset(), "odd"), AMBIGUOUS),
        (AccessDenied("no"), DENIED),
        (Throttled("slow"), FAILED),
        (NetworkError("away"), FAILED),
        (CommandTimedOut("late"), FAILED),
    ],
)
def test_how_sources_answer(outcome: Shown | Exception, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_args: object, **_limits: object) -> Shown:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(console, "host_keys", answer)
    monkeypatch.setattr(instance_files, "host_keys", answer)
    sources = aws_sources(lambda: None, INSTANCE)
    for call, source in ((sources.console, CONSOLE), (sources.command, COMMAND)):
        assert call is not None
        answered = call()
        assert (answered.source, answered.status) == (source, status)
        assert bool(answered.reason) == (status != REPORTED)


def test_managed_nodes_have_no_console() -> None:
    assert aws_sources(lambda: None, NODE).console is None


def test_a_forbidden_command_counts_as_denied_and_an_unneeded_one_as_failed() -> None:
    sources = aws_sources(lambda: pytest.fail("it called"), INSTANCE, commands=False)
    assert sources.command is not None
    assert sources.command().status == DENIED
    sources = aws_sources(lambda: pytest.fail("it called"), INSTANCE, still_wanted=lambda: False)
    assert sources.command is not None
    assert sources.command().status == FAILED


# --- by hand ----------------------------------------------------------------------------------------------------------


def refused_once() -> None:
    with pytest.raises(HostKeyRefused):
        judge("other", "none")


def test_a_refused_key_can_be_accepted() -> None:
    refused_once()
    assert admin.accept(INSTANCE) == [(INSTANCE, KEY)]
    assert judge("none", "none") == ("", [])
    assert admin.of(INSTANCE, REFUSED) == []
    assert "accepted by hand" in admin.of(INSTANCE)[0][2]


def test_accepting_needs_a_refused_key_and_the_right_fingerprint() -> None:
    with pytest.raises(HostKeyRefused, match="was refused"):
        admin.accept(INSTANCE)
    refused_once()
    for wrong in (EVIL.fingerprint, "x"):
        with pytest.raises(HostKeyRefused, match="was refused"):
            admin.accept(INSTANCE, wrong)
    with pytest.raises(HostKeyRefused):
        admin.accept(NODE)
    assert known() == frozenset()
    assert admin.accept(INSTANCE, KEY.fingerprint)


def test_a_key_that_is_confirmed_later_is_refused_no_more() -> None:
    refused_once()
    judge("same", "none")
    assert admin.of(INSTANCE, REFUSED) == []


def test_removing_forgets_every_name_of_the_instance_and_no_other() -> None:
    know(KEY)
    know(KEY, name=f"[{INSTANCE}]:2222")
    know(KEY, name=NODE)
    assert admin.remove(INSTANCE) == 2
    assert [name for name, _, _ in admin.of("")] == [NODE]
    assert admin.remove(INSTANCE) == 0


# --- types of keys ----------------------------------------------------------------------------------------------------


def of_type(kind: str, fill: int = 1) -> HostKey:
    return HostKey(kind, string(kind.encode()) + string(bytes([fill]) * 32))


RSA, OTHER_RSA = (HostKey("ssh-rsa", string(b"ssh-rsa") + string(b"\3") + string(n * 256)) for n in (b"\x61", b"\x62"))
RARE = of_type("sk-new@openssh.com")


class Showing(Asked):
    """Sources that show these keys; None: one that denies."""

    def __init__(self, console: set[HostKey] | None, command: set[HostKey] | None) -> None:
        self.asked = []
        self.sources = Sources(self._showing(CONSOLE, console), self._showing(COMMAND, command))

    def _showing(self, source: str, keys: set[HostKey] | None) -> Callable[[], Report]:
        def call() -> Report:
            self.asked.append(source)
            if keys is None:
                return Report(source, DENIED, reason=f"{source} denied")
            return Report(source, REPORTED, frozenset(keys))

        return call


def judge_shown(
    console: set[HostKey] | None, command: set[HostKey] | None, key: HostKey = KEY, *, require: bool = False
) -> tuple[str, list[str]]:
    shown = Showing(console, command)
    said = check(WHERE, key, shown.sources, require=require, judged_by_ssh=True, log=Log(None))
    return said, shown.asked


def refused(console: set[HostKey] | None, command: set[HostKey] | None, key: HostKey = KEY) -> HostKeyRefused:
    with pytest.raises(HostKeyRefused) as caught:
        judge_shown(console, command, key)
    assert key not in known()
    return caught.value


def test_a_console_that_hides_the_type_is_silent_and_the_next_source_is_asked() -> None:
    assert judge_shown({RSA}, {RSA, KEY}) == ("", [CONSOLE, COMMAND])
    assert known() == {RSA, KEY}


def test_where_only_such_a_console_may_be_asked_it_is_a_first_key() -> None:
    said, _ = judge_shown({RSA}, None)
    assert "recorded unverified" in said
    assert "the console shows no ssh-ed25519 key, only ssh-rsa" in said
    assert known() == {KEY}


def test_where_verification_is_required_such_a_console_is_not_enough() -> None:
    with pytest.raises(HostKeyRefused, match="no source may confirm it"):
        judge_shown({RSA}, None, require=True)


@pytest.mark.parametrize(
    ("console", "command", "key"),
    [
        ({RSA}, {RSA}, KEY),  # its own files lack it
        ({KEY, RSA}, None, RARE),  # no image begins with such a key, and an attacker chooses the type
        ({KEY, RSA}, {KEY, RSA}, RARE),
        ({RSA}, {OTHER_RSA, KEY}, KEY),  # the sources contradict each other
    ],
)
def test_silence_about_the_type_announces_no_attacker(
    console: set[HostKey], command: set[HostKey] | None, key: HostKey
) -> None:
    error = refused(console, command, key)
    assert "is not confirmed" in error.message
    assert "intercepted" not in error.message


def test_another_key_of_a_type_that_is_shown_is_a_contradiction_still() -> None:
    assert "the connection may be intercepted" in refused({RSA}, {RSA, EVIL}).message
    assert "the connection may be intercepted" in refused({EVIL}, {KEY}).message


def test_a_key_of_a_type_that_was_added_later_is_confirmed_by_who_shows_it() -> None:
    know(RSA)
    said, asked = judge_shown({RSA}, {RSA, KEY})
    assert asked == [CONSOLE, COMMAND]
    assert said.endswith("is new, and confirmed by send-command")
    assert known() == {RSA, KEY}


def test_the_keys_of_other_types_stay_known() -> None:
    know(RSA)
    said, _ = judge_shown({KEY}, None)
    assert said.endswith("is new, and confirmed by the console")
    assert known() == {RSA, KEY}


@pytest.mark.parametrize("command", [None, {RSA}], ids=["denied", "silent"])
def test_a_type_that_nothing_confirms_is_never_added(command: set[HostKey] | None) -> None:
    know(RSA)
    error = refused({RSA}, command)
    assert not isinstance(error, HostKeyChanged), "ssh knows no key of that type, and has no warning"
    assert "intercepted" not in error.message
    assert known() == {RSA}


def test_a_changed_key_of_a_hidden_type_is_refused_without_an_attacker() -> None:
    know(EVIL)
    error = refused({RSA}, {KEY, RSA})
    assert isinstance(error, HostKeyChanged)
    assert "intercepted" not in error.message
    assert known() == {EVIL}


@pytest.mark.parametrize(
    ("console", "command", "keys"),
    [({RSA}, {RSA, KEY}, {RSA, KEY}), ({RSA}, {KEY}, {RSA, KEY}), ({KEY, SECOND}, {KEY}, {KEY})],
)
def test_refreshing_takes_each_type_from_who_shows_it(
    console: set[HostKey], command: set[HostKey], keys: set[HostKey]
) -> None:
    assert admin.refresh(INSTANCE, Showing(console, command).sources, "o")[0] == keys
    assert known() == keys


def test_refreshing_refuses_a_type_in_dispute() -> None:
    with pytest.raises(HostKeyRefused, match="do not agree on the ssh-rsa host key"):
        admin.refresh(INSTANCE, Showing({RSA, KEY}, {OTHER_RSA, KEY}).sources, "o")
    assert known() == frozenset()


def test_a_long_denial_is_not_cut() -> None:
    arn = f"arn:aws:ec2:eu-central-1:123456789012:instance/{INSTANCE}"
    why = f"ec2:GetConsoleOutput is not allowed on {arn}: no permissions boundary allows it"
    place = ", in eu-central-1 (profile 'default')"
    assert why in reasons([Report(CONSOLE, DENIED, reason=why + place)])


def test_refreshing_records_the_keys_that_all_sources_report() -> None:
    know(EVIL, name=f"[{INSTANCE}]:2222")
    assert admin.refresh(INSTANCE, Asked("same", "same").sources, "o")[0] == {KEY, SECOND}
    assert known() == known(f"[{INSTANCE}]:2222") == {KEY, SECOND}


@pytest.mark.parametrize(
    "answers", [("same", "other"), ("silent", "same"), ("same", "failed"), ("denied", "denied"), ("doubtful", "same")]
)
def test_refreshing_changes_nothing_where_they_do_not_agree(answers: tuple[str, str]) -> None:
    know(EVIL)
    with pytest.raises(HostKeyRefused):
        admin.refresh(INSTANCE, Asked(*answers).sources, "o")
    assert known() == {EVIL}


def test_refreshing_names_the_disputed_type() -> None:
    other_type = HostKey("ssh-rsa", KEY.blob)
    know(EVIL)
    sources = Sources(
        lambda: Report(CONSOLE, REPORTED, frozenset({KEY, other_type})),
        lambda: Report(COMMAND, REPORTED, frozenset({SECOND, other_type})),
    )
    with pytest.raises(HostKeyRefused, match="do not agree on the ssh-ed25519 host key"):
        admin.refresh(INSTANCE, sources, "o")
    assert known() == {EVIL}


def test_terminated_instances_are_pruned_and_those_of_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = "eu-central-1 default", "us-east-1 default"
    ids = {name: f"i-{number:017x}" for number, name in enumerate(("running", "gone", "terminated", "far", "hand"))}
    for name, one in ids.items():
        HostFile(KNOWN).record([one], {KEY}, f"console, 2026-01-01, {elsewhere if name == 'far' else here}")
    HostFile(KNOWN).record([ids["hand"]], {KEY}, "somebody wrote this")
    know(KEY, name=NODE)
    states = {ids["running"]: "running", ids["terminated"]: "terminated"}
    monkeypatch.setattr(instances, "instance_states", lambda api, wanted: states)
    HostFile(REFUSED).record([f"[{ids['gone']}]:2222"], {KEY}, f"refused, 2026-01-01, {elsewhere}")
    assert admin.prune(None, here) == [ids["terminated"]], "the refused key was met elsewhere"
    HostFile(REFUSED).record([f"[{ids['gone']}]:2222"], {KEY}, f"refused, 2026-01-01, {here}")
    assert admin.prune(None, here) == [ids["gone"]]
    assert {name for name, _, _ in admin.of("")} == {ids["running"], ids["far"], ids["hand"], NODE}
