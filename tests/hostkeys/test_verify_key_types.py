"""Host keys of several types."""

from __future__ import annotations

import pytest

from ssm_ssh.errors import (
    HostKeyChanged,
    HostKeyRefused,
)
from ssm_ssh.hostkeys.sources import (
    COMMAND,
    CONSOLE,
)
from ssm_ssh.ssh.hostkey import HostKey
from tests.hostkeys.fakes import (
    EVIL,
    KEY,
    OTHER_RSA,
    RARE,
    RSA,
    judge_shown,
    know,
    known,
    refused,
)


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


@pytest.mark.parametrize("command", [None, {RSA}], ids=["denied", "empty"])
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
