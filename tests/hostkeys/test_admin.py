"""Managing known host keys by command."""

from __future__ import annotations

import pytest

from ssm_ssh.aws.services import instances
from ssm_ssh.errors import (
    HostKeyRefused,
)
from ssm_ssh.hostkeys import admin
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile
from ssm_ssh.hostkeys.sources import (
    COMMAND,
    CONSOLE,
    REPORTED,
    Report,
    Sources,
)
from ssm_ssh.ssh.hostkey import HostKey
from tests.hostkeys.fakes import (
    EVIL,
    INSTANCE,
    KEY,
    NODE,
    OTHER_RSA,
    RSA,
    SECOND,
    Asked,
    Showing,
    judge,
    know,
    known,
    refused_once,
)


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


def test_refreshing_records_the_keys_that_all_sources_report() -> None:
    know(EVIL, name=f"[{INSTANCE}]:2222")
    assert admin.refresh(INSTANCE, Asked("same", "same").sources, "o")[0] == {KEY, SECOND}
    assert known() == known(f"[{INSTANCE}]:2222") == {KEY, SECOND}


@pytest.mark.parametrize(
    "answers", [("same", "other"), ("empty", "same"), ("same", "failed"), ("denied", "denied"), ("ambiguous", "same")]
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
