"""Verifying a host key: what is recorded, replaced, refused and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import (
    HostKeyChanged,
    HostKeyRefused,
    StateError,
)
from ssm_ssh.hostkeys import verify
from ssm_ssh.hostkeys.known_hosts import KNOWN, HostFile
from ssm_ssh.hostkeys.sources import (
    COMMAND,
    CONSOLE,
    REPORTED,
    Report,
    Sources,
)
from ssm_ssh.hostkeys.verdict import CONTRADICTED, NOT_NOW, UNCONFIRMED
from ssm_ssh.hostkeys.verify import Server, check
from ssm_ssh.log import Log
from tests.hostkeys.fakes import (
    CHANGED,
    EVIL,
    FIRST,
    INSTANCE,
    KEY,
    SECOND,
    WHERE,
    judge,
    know,
    known,
    unverified,
)


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


@pytest.mark.parametrize("answers", [("other", "same"), ("ambiguous", "denied"), ("failed", "failed")])
def test_a_key_that_was_refused_is_never_a_first_key_again(answers: tuple[str, str]) -> None:
    with pytest.raises(HostKeyRefused):
        judge(*answers)
    with pytest.raises(HostKeyRefused, match="was refused before") as caught:
        judge("denied", "denied")
    assert f"host-keys accept {INSTANCE} {KEY.fingerprint}" in caught.value.sentence()
    assert known() == frozenset()
    with pytest.raises(HostKeyRefused, match="was refused before"):
        judge("denied", "denied", SECOND)  # nor is another one, since an attacker may have many
    assert judge("same", "none") == ("", [CONSOLE])


def test_a_refusal_counts_for_the_whole_instance() -> None:
    """An attacker in the middle is not limited to one port."""
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
