from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ssm_ssh.sshconfig import taken_names as module
from ssm_ssh.sshconfig.include import BEGIN, END
from ssm_ssh.sshconfig.locations import Place
from ssm_ssh.sshconfig.taken_names import Meanings, meanings


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setattr(module, "_SYSTEM", tmp_path / "system")
    monkeypatch.setattr(module, "_HOSTS", tmp_path / "hosts")
    monkeypatch.setattr(module, "_KNOWN_HOSTS", (str(tmp_path / "global"),))
    return Place(tmp_path)


def test_the_users_configuration(place: Place) -> None:
    place.config.write_text(
        "Host GitHub.com web-? !stage-1\n User git\nHost *\n User x\nMatch host db* user root\n User y\n"
        f'Include more\nInclude "{place.managed}"\nMatch originalhost alias\n User z\n'
    )
    (place.folder / "more").write_text("Host included\n")
    place.managed.write_text("Host ours\n HostName i-0123456789abcdef0\n")
    (place.home / "system").write_text("Host corp\n")
    found = meanings(place)
    for name in (
        "github.com",
        "GITHUB.COM",
        "web-1",
        "stage-1",
        "db",
        "db-2",
        "included",
        "alias",
        "corp",
        "localhost",
    ):
        assert found(name), name
    for name in ("web-10", "stage", "ours", "x", "other"):
        assert found(name) == "", name
    assert found("web-1") == f"'Host GitHub.com web-? !stage-1' in {place.config}:1"


def test_our_own_block_counts_for_nothing(place: Place) -> None:
    place.config.write_text(f"{BEGIN.decode()}\nHost ours\nHost *\n{END.decode()}\nHost theirs\n")
    found = meanings(place)
    assert found("ours") == ""
    assert found("theirs")


def test_known_hosts(place: Place) -> None:
    known = place.folder / "known_hosts"
    known.write_text(
        "hashed,10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8VL0qrNpsxjmfgB5LHrqiNPvRaLI3tXgyLmyrEXoxd\n"
    )
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    with known.open("a") as file:
        file.write("plain,[ported]:2222,wild-*,!not-* ssh-ed25519 x\n@revoked gone ssh-ed25519 x\n# comment\n\n")
        file.write(
            "|1|broken|hash ssh-ed25519 x\n|2|AAAA|AAAA x\n|1|AAAA\n\udcff x y\n".encode(
                errors="surrogateescape"
            ).decode(errors="replace")
        )
    (place.home / "global").write_text("everybody ssh-ed25519 x\n")
    (place.home / "mine").write_text("elsewhere ssh-ed25519 x\n")
    place.config.write_text("UserKnownHostsFile ~/mine relative %d/x\n")
    found = meanings(place)
    for name in ("hashed", "HASHED", "plain", "ported", "wild-1", "not-1", "gone", "everybody", "elsewhere"):
        assert found(name), name
    for name in ("comment", "x", "broken"):
        assert found(name) == "", name
    assert found("hashed") == f"{known}:1"


def test_etc_hosts(place: Place) -> None:
    (place.home / "hosts").write_text("127.0.0.1 localhost here # there\n# 10.0.0.1 commented\n10.0.0.2\tWeb-1\tweb\n")
    found = meanings(place)
    assert found("web-1") == f"{place.home / 'hosts'}:3"
    assert [bool(found(name)) for name in ("here", "web", "there", "commented", "127.0.0.1")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_nothing_is_there(tmp_path: Path, place: Place) -> None:
    place.folder.rmdir()
    found = meanings(place)
    assert found("localhost")
    assert found("web") == ""


def test_wildcards_alone_name_nothing() -> None:
    found = Meanings()
    for pattern in ("*", "?*", "!*", "", "!"):
        found.add(pattern, "somewhere")
    assert found("web") == ""
