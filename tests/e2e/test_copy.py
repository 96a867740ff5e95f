"""The real scp (both protocols), sftp and rsync through the tunnel: every byte, name and folder arrives."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from tests.e2e.trees import content, give, make_tree
from tests.e2e.world import World, until

pytestmark = pytest.mark.e2e

BIG = 8 << 20


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big file.bin"
    path.write_bytes(random.Random(6).randbytes(BIG))
    return path


def same(one: Path, other: Path) -> bool:
    return hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


# --- scp --------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sftp", "scp -O"])
def scp(request: pytest.FixtureRequest) -> list[str]:
    """scp as it speaks today, and as it did before OpenSSH 9.0."""
    return ["scp", "-O"] if request.param == "scp -O" else ["scp", "-s"]


def remote(scp: list[str], path: Path) -> str:
    """The path as it is to be named: the old protocol lets the far shell read it, and takes it for a pattern here."""
    return str(path).replace(" ", "\\ ") if "-O" in scp else str(path)


def test_scp_copies_a_tree_there_and_back(world: World, scp: list[str], there: Path, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    world.run(*scp, "-rp", str(tree), f"{world.web.destination}:{there}/up")
    assert content(there / "up") == content(tree)
    assert (there / "up" / "newline").stat().st_mode & 0o777 == 0o750
    world.run(*scp, "-r", f"{world.web.destination}:{there}/up", str(tmp_path / "down"))
    assert content(tmp_path / "down") == content(tree)


def test_scp_copies_megabytes_there_and_back(
    world: World, scp: list[str], there: Path, tmp_path: Path, big: Path
) -> None:
    far = there / "über groß.bin"
    world.run(*scp, str(big), f"{world.web.destination}:{remote(scp, far)}")
    assert same(big, far)
    world.run(*scp, f"{world.web.destination}:{remote(scp, far)}", str(tmp_path / "back"))
    assert same(big, tmp_path / "back")


def test_scp_copies_single_files_with_odd_names(world: World, scp: list[str], there: Path, tmp_path: Path) -> None:
    names = ["a b", "leer ü", "empty"]
    for name in names:
        (tmp_path / name).write_bytes(b"" if name == "empty" else name.encode() + b"\n")
    world.run(*scp, *(str(tmp_path / name) for name in names), f"{world.web.destination}:{there}/")
    assert {path.name: path.read_bytes() for path in there.iterdir()} == {
        name: (tmp_path / name).read_bytes() for name in names
    }


def test_scp_says_what_is_missing(world: World, scp: list[str], there: Path, tmp_path: Path) -> None:
    done = world.run(*scp, f"{world.web.destination}:{there}/none", str(tmp_path), expect=1)
    assert "No such file" in done.stderr


def test_scp_copies_between_two_instances_through_here(world: World, there: Path, tmp_path: Path) -> None:
    tree = make_tree(there / "tree")
    give(tree, there)
    with world.folder_on(world.db) as other:
        end = f"scp://{world.db.destination}:2222/{other}/tree"
        world.run("scp", "-3", "-r", f"scp://{world.web.destination}/{tree}", end)
        assert content(other / "tree") == content(tree)


# --- sftp -------------------------------------------------------------------------------------------------------------


def test_sftp_carries_out_a_batch(world: World, there: Path, tmp_path: Path, big: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    batch = f"""
        cd {there}
        lcd "{tmp_path}"
        put -r tree
        put "{big}" big
        get -r tree back
        get big big-back
        mkdir "new folder"
        rename tree/empty "new folder/moved"
        rm tree/newline
        -rm tree/none
        ls "new folder"
    """
    batch = "\n".join(line.strip() for line in batch.strip().splitlines()) + "\n"
    done = world.run("sftp", "-b", "-", world.web.destination, stdin=batch.encode())
    assert "moved" in done.text
    before = content(tree)
    assert content(tmp_path / "back") == before
    assert same(big, tmp_path / "big-back")
    del before["newline"], before["empty"]
    assert content(there / "tree") == before
    assert (there / "new folder" / "moved").read_bytes() == b""


def test_an_sftp_batch_that_fails_says_so(world: World, there: Path) -> None:
    done = world.run("sftp", "-b", "-", world.web.destination, stdin=f"get {there}/none\n".encode(), expect=1)
    assert "not found" in done.stderr


# --- rsync ------------------------------------------------------------------------------------------------------------


@pytest.mark.needs("rsync")
def test_rsync_makes_both_sides_equal(world: World, there: Path, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    far = f"{world.web.destination}:{there}/tree/"
    world.run("rsync", "-a", "--delete", f"{tree}/", far)
    assert content(there / "tree") == content(tree)
    (tree / "deep" / "er" / "file").write_bytes(b"shorter")
    (tree / "empty").write_bytes(b"not any more")
    (tree / "with space.txt").unlink()
    done = world.run("rsync", "-a", "--checksum", "--delete", "--itemize-changes", f"{tree}/", far)
    assert "*deleting   with space.txt" in done.text
    assert "big.bin" not in done.text
    assert content(there / "tree") == content(tree)
    (tmp_path / "down").mkdir()
    (tmp_path / "down" / "too much").write_bytes(b"x")
    world.run("rsync", "-az", "--delete", far, f"{tmp_path}/down/")
    assert content(tmp_path / "down") == content(tree)


@pytest.mark.needs("rsync")
def test_rsync_goes_on_where_it_was_interrupted(world: World, there: Path, tmp_path: Path, big: Path) -> None:
    command = ["rsync", "--partial", "--inplace", str(big), f"{world.web.destination}:{there}/big"]
    rsync = world.start(*command, "--bwlimit=2000")
    far = there / "big"
    until(lambda: far.exists() and far.stat().st_size > 0, "the first bytes")
    rsync.interrupt()
    assert rsync.finish().status != 0
    assert far.stat().st_size < BIG
    world.run(*command, "--append-verify")
    assert same(big, far)
    back = tmp_path / "big"
    back.write_bytes(big.read_bytes()[: BIG // 2])
    world.run("rsync", "--partial", "--append-verify", f"{world.web.destination}:{there}/big", str(back))
    assert same(big, back)
