import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ssm_ssh.auth import keypair
from ssm_ssh.auth.key_type import ED25519, RSA, slots
from ssm_ssh.errors import StateError
from ssm_ssh.storage.private_dir import Folder

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keypair, "data_folder", lambda: tmp_path / "ssm-ssh")
    return tmp_path / "ssm-ssh"


def test_openssh_reads_the_pair(data_home: Path) -> None:
    line = keypair.public_key()
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", keypair.identity_files()[0]], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[:2] == line.split()
    assert keypair.identity_files()[0].parent == data_home


def test_an_existing_pair_is_never_touched(data_home: Path) -> None:
    line = keypair.public_key()
    before = [path.stat() for path in keypair.identity_files()]
    assert keypair.public_key() == line
    assert [path.stat() for path in keypair.identity_files()] == before


def test_both_names_hold_it(data_home: Path) -> None:
    """So that ssh finds each file that it is told of, and asyncssh too, which insists on them."""
    line = keypair.public_key()
    assert keypair.identity_files() == (data_home / "id_ed25519", data_home / "id_ed25519_2")
    assert [public_half(path) for path in keypair.identity_files()] == [line, line]
    assert [read(data_home, slot) for slot in slots(ED25519)] == [line, line]
    assert [(pair.line, what) for pair, what in keypair.show()] == [(line, "current")]


@pytest.mark.parametrize("slot", slots(ED25519))
@pytest.mark.parametrize("half", ["", ".pub"])
def test_a_missing_half_is_put_back(data_home: Path, slot: str, half: str) -> None:
    line = keypair.public_key()
    (data_home / f"{slot}{half}").unlink()
    assert keypair.public_key() == line
    assert [public_half(path) for path in keypair.identity_files()] == [line, line]
    assert [read(data_home, slot) for slot in slots(ED25519)] == [line, line]


def test_a_missing_public_key_is_derived_from_the_private_key(data_home: Path) -> None:
    line = keypair.public_key()
    for slot in slots(ED25519):
        (data_home / f"{slot}.pub").unlink()
    assert keypair.public_key() == line


@pytest.mark.parametrize("content", [b"", b"ssh-rsa AAAA"])
def test_a_damaged_public_half_can_be_removed(data_home: Path, content: bytes) -> None:
    keypair.public_key()
    (data_home / "id_ed25519.pub").write_bytes(content)
    with pytest.raises(StateError) as error:
        keypair.public_key()
    assert error.value.hint == "Run: ssm-ssh key remove"
    assert keypair.remove() == 1
    assert keypair.public_key()


@pytest.mark.parametrize("when", [keypair.MAX_AGE + 1, 60.0], ids=["due", "unfinished"])
def test_where_nothing_can_be_written_the_pair_serves_on(
    data_home: Path, when: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StateError("no space left on device")

    line = keypair.public_key(now=NOW)
    if when < keypair.MAX_AGE:
        (data_home / "id_ed25519").unlink()
    monkeypatch.setattr(Folder, "write", full)
    for _ in range(3):
        assert keypair.public_key(now=NOW + when) == line
    keypair.remove()
    with pytest.raises(StateError, match="no space"):
        keypair.public_key(now=NOW + when)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_private_key_is_named(data_home: Path, content: bytes) -> None:
    data_home.mkdir(mode=0o700)
    keypair.identity_files()[0].write_bytes(content)
    with pytest.raises(StateError, match="id_ed25519"):
        keypair.public_key()


def test_a_broken_public_key_is_named(data_home: Path) -> None:
    keypair.public_key()
    (data_home / "id_ed25519.pub").write_text("ssh-rsa AAAA\n")
    with pytest.raises(StateError, match="not a public key of type ed25519"):
        keypair.public_key()


def public_half(path: Path) -> str:
    shown = serialization.load_ssh_private_key(path.read_bytes(), None).public_key()
    return shown.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def read(folder: Path, slot: str) -> str:
    path = folder / f"{slot}.pub"
    return " ".join(path.read_text().split()[:2]) if path.exists() else ""


def states(now: float, max_age: float = keypair.MAX_AGE) -> list[tuple[str, str]]:
    return [(pair.line, what) for pair, what in keypair.show(now=now, max_age=max_age)]


def test_the_life_of_a_pair(data_home: Path) -> None:
    first = keypair.public_key(now=NOW)
    assert keypair.public_key(now=NOW + keypair.MAX_AGE) == first
    assert states(NOW + keypair.MAX_AGE) == [(first, "current")]
    made = NOW + keypair.MAX_AGE + 10
    assert states(made) == [(first, keypair.OVER_AGE)]
    # An ssh that started this connection may have read the first pair under both names.
    assert keypair.public_key(now=made) == first
    assert [read(data_home, slot) == first for slot in slots(ED25519)] == [True, False]
    second = read(data_home, slots(ED25519)[1])
    assert states(made) == [(first, "current"), (second, "resting")]
    assert keypair.public_key(now=made + keypair.GRACE - 1) == first
    assert keypair.public_key(now=made + keypair.GRACE) == second
    assert states(made + keypair.GRACE) == [(first, "retired"), (second, "current")]
    assert keypair.kept_until(keypair.show(now=made + keypair.GRACE)[1][0]) == made + 2 * keypair.GRACE
    assert keypair.public_key(now=made + 2 * keypair.GRACE) == second
    assert public_half(keypair.identity_files()[0]) == first
    assert keypair.public_key(now=made + 2 * keypair.GRACE + 1) == second
    assert [public_half(path) for path in keypair.identity_files()] == [second, second]
    assert [read(data_home, slot) for slot in slots(ED25519)] == [second, second]
    assert states(made + 2 * keypair.GRACE + 1) == [(second, "current")]
    # It has served since it was made, whenever it came to the other name.
    assert states(made + keypair.MAX_AGE + 1) == [(second, keypair.OVER_AGE)]


def test_a_pair_that_has_served_its_time_is_there_until_a_connection_replaces_it(data_home: Path) -> None:
    line = keypair.public_key(now=NOW)
    assert states(NOW + 7200, max_age=3600) == [(line, "current, to be replaced soon after the next connection")]
    assert states(NOW + 1000 * keypair.MAX_AGE) == [(line, "current, to be replaced soon after the next connection")]
    assert keypair.public_key(now=NOW + 1000 * keypair.MAX_AGE) == line


def test_two_changes_do_not_meet(data_home: Path) -> None:
    """After a pause: a change that was left half done, and a pair that is due; an ssh has read both names before."""
    first = keypair.public_key(now=NOW)
    keypair.renew(now=NOW)
    second = read(data_home, slots(ED25519)[1])
    later = NOW + 30 * keypair.MAX_AGE
    assert keypair.public_key(now=later) == second != first
    assert [public_half(path) for path in keypair.identity_files()] == [second, second]
    assert keypair.public_key(now=later + keypair.GRACE - 1) == second
    assert public_half(keypair.identity_files()[1]) == second
    keypair.public_key(now=later + keypair.GRACE)
    assert public_half(keypair.identity_files()[1]) != second


@pytest.mark.parametrize("step", [97, 400, 1000])
def test_no_connection_can_lose_its_key_however_short_the_life_of_a_pair(data_home: Path, step: int) -> None:
    """An ssh reads both names when it starts, and logs in within the grace period by what its proxy has pushed."""
    now = NOW
    began: list[tuple[float, dict[str, str], str]] = []
    seen = set()
    for _ in range(200):
        now += step
        before = {slot: read(data_home, slot) for slot in slots(ED25519)}
        pushed = keypair.public_key(max_age=60, now=now)
        seen.add(pushed)
        began.append((now, before, pushed))
        began = [one for one in began if now - one[0] < keypair.GRACE]
        for _, known, key in began:
            # Each name is offered with the public half that was read, or with what was missing then and is there now.
            slot = next(slot for slot in slots(ED25519) if (known[slot] or read(data_home, slot)) == key)
            assert public_half(data_home / slot) == key
    assert len(seen) > 4
    assert keypair.show(now=now)


@pytest.mark.parametrize("writes", range(12))
def test_a_crash_between_two_writes_costs_no_connection(
    data_home: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written last, both halves of what ssh is offered fit, and the change is done in the end."""

    class CrashError(Exception):
        pass

    left = writes

    def crash(what: Callable[..., object]) -> Callable[..., object]:
        def change(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise CrashError
            return what(*args, **options)

        return change

    moments = [NOW, NOW + 100, NOW + 100 + keypair.GRACE, NOW + 200 + 2 * keypair.GRACE, NOW + 300 + 3 * keypair.GRACE]
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", crash(Folder.write))
        patch.setattr(Folder, "remove", crash(Folder.remove))
        for now in moments:
            known = {slot: read(data_home, slot) for slot in slots(ED25519)}
            try:
                pushed = keypair.public_key(max_age=60, now=now)
            except CrashError:
                break
    known = {slot: read(data_home, slot) for slot in slots(ED25519)}
    pushed = keypair.public_key(max_age=60, now=now)
    slot = next(slot for slot in slots(ED25519) if (known[slot] or read(data_home, slot)) == pushed)
    assert public_half(data_home / slot) == pushed
    for later in range(6):
        keypair.public_key(now=now + later * keypair.GRACE)
    assert {public_half(path) for path in keypair.identity_files()} == {keypair.public_key(now=now + 6 * keypair.GRACE)}


def test_the_files_of_an_earlier_version_are_used(data_home: Path) -> None:
    """The public half of a pair that is gone under the first name, and the current pair under the second."""
    keypair.public_key(now=NOW)
    gone = (data_home / "id_ed25519.pub").read_text()
    keypair.remove()
    second = keypair.public_key(now=NOW)
    (data_home / "id_ed25519.pub").write_text(gone)
    (data_home / "id_ed25519").unlink()
    assert keypair.public_key(now=NOW + 1) == second
    assert [read(data_home, slot) for slot in slots(ED25519)] == [second, second]


def test_a_clock_that_went_back_makes_nothing_new(data_home: Path) -> None:
    line = keypair.public_key(now=NOW + 1e6)
    assert keypair.public_key(now=NOW) == line
    keypair.renew(now=NOW + 1e6)
    assert keypair.public_key(now=NOW + 1e6 - 5) == line


YEAR = 365 * 86400.0


def test_a_pair_from_the_future_ages_like_any_other(data_home: Path) -> None:
    first = keypair.public_key(now=NOW + YEAR)
    assert keypair.public_key(now=NOW) == first
    keypair.public_key(now=NOW + keypair.MAX_AGE + 1)
    assert keypair.public_key(now=NOW + keypair.MAX_AGE + keypair.GRACE + 1) != first


def test_a_successor_from_the_future_becomes_current(data_home: Path) -> None:
    first = keypair.public_key(now=NOW)
    assert keypair.public_key(now=NOW + 2 * YEAR) == first  # and made another, in its time
    second = read(data_home, slots(ED25519)[1])
    assert keypair.public_key(now=NOW + 60) == first
    assert keypair.public_key(now=NOW + 60 + keypair.GRACE) == second != first
    keypair.public_key(now=NOW + 61 + 2 * keypair.GRACE)
    assert {public_half(path) for path in keypair.identity_files()} == {second}
    assert keypair.renew(now=NOW + 62 + 3 * keypair.GRACE) == keypair.GRACE


def test_a_killed_process_leaves_no_copy_of_a_private_key(data_home: Path) -> None:
    keypair.public_key(now=NOW)
    copies = [data_home / f".{slot}.4711.0a1b2c3d" for slot in slots(ED25519)]
    other = data_home / ".known_hosts.4711.0a1b2c3d"
    for path in (*copies, other):
        path.write_bytes((data_home / "id_ed25519").read_bytes())
    keypair.renew(now=NOW)
    assert not any(path.exists() for path in copies)
    copies[0].write_bytes(b"again")
    keypair.remove()
    assert not copies[0].exists()
    assert other.exists()


def test_renew_and_remove(data_home: Path) -> None:
    first = keypair.public_key(now=NOW)
    assert keypair.renew(now=NOW + 1) == keypair.GRACE
    with pytest.raises(StateError, match="renewed minutes ago") as too_soon:
        keypair.renew(now=NOW + 2)
    assert too_soon.value.hint.startswith("Try again in 45 minutes")
    second = keypair.public_key(now=NOW + 1 + keypair.GRACE)
    assert first != second
    with pytest.raises(StateError) as again:
        keypair.renew(now=NOW + 2 + 2 * keypair.GRACE)
    assert again.value.hint.startswith("Try again in 15 minutes")
    assert keypair.renew(now=NOW + 3 + 3 * keypair.GRACE) == keypair.GRACE
    assert keypair.remove() == 2
    assert keypair.remove() == 0
    assert not [path for path in data_home.iterdir() if path.name != "key.lock"]
    assert keypair.show() == []
    assert keypair.renew(now=NOW) == 0
    assert keypair.public_key(now=NOW) not in (first, second)
    assert keypair.remove() == 1


def test_an_rsa_pair_lives_beside_it(data_home: Path) -> None:
    """Its public half is where ssh does not look."""
    ed25519, rsa = keypair.public_key(now=NOW), keypair.public_key(RSA, now=NOW)
    assert rsa.startswith("ssh-rsa ")
    assert keypair.identity_files(RSA) == (data_home / "id_rsa", data_home / "id_rsa_2")
    names = {path.name for path in data_home.iterdir()}
    assert {"id_rsa", "id_rsa.public", "id_rsa_2", "id_rsa_2.public"} <= names
    assert "id_rsa.pub" not in names
    assert {line for line, _ in states(NOW)} == {ed25519, rsa}
    assert keypair.renew(now=NOW) == keypair.GRACE
    later = NOW + keypair.GRACE
    assert (keypair.public_key(now=later) == ed25519, keypair.public_key(RSA, now=later) == rsa) == (False, False)
    assert keypair.remove() == 4
    assert not [path for path in data_home.iterdir() if path.name != "key.lock"]


def test_an_rsa_pair_changes_as_any_other(data_home: Path) -> None:
    first = keypair.public_key(RSA, now=NOW)
    made = NOW + keypair.MAX_AGE + 1
    assert keypair.public_key(RSA, now=made) == first
    second = keypair.public_key(RSA, now=made + keypair.GRACE)
    assert second != first
    keypair.public_key(RSA, now=made + 2 * keypair.GRACE + 1)
    for path in keypair.identity_files(RSA):
        shown = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True)
        assert shown.stdout.split()[:2] == second.split()
    assert not keypair.in_use(ED25519)


def test_twenty_concurrent_processes_create_one_pair(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from ssm_ssh.auth import keypair as keys;"
        "keys.data_folder = lambda: pathlib.Path(sys.argv[1]);"
        "print(keys.public_key())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "shared")], stdout=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    lines = {process.communicate()[0] for process in started}
    assert len(lines) == 1
    assert lines.pop().startswith("ssh-ed25519 ")
