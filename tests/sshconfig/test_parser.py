from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.sshconfig.include import put_block
from ssm_ssh.sshconfig.parser import Directive, host_names, scan
from tests.sshconfig.home import Home


def words(found: list[Directive]) -> list[tuple[str, int, str, tuple[str, ...]]]:
    return [(one.file.name, one.line, one.keyword, one.words) for one in found]


def test_lines_are_found_with_their_places(home: Home) -> None:
    home.write(b'# c\r\nUser=me\r\nHost "a b"  c\r\n  "Port" 22\r\nMatch host="x,!y" exec "t"\n\xff\nSendEnv A B # c\n')
    assert words(scan(home.config, home.place.folder)) == [
        ("config", 2, "user", ("me",)),
        ("config", 3, "host", ("a b", "c")),
        ("config", 4, "port", ("22",)),
        ("config", 5, "match", ("host=", "x,!y", "exec", "t")),
        ("config", 7, "sendenv", ("A", "B", "#", "c")),
    ]


def test_includes_are_followed_inside_their_section_and_loops_end(home: Home) -> None:
    folder = home.place.folder
    home.write("Host a\nInclude one.d/* config\nUser x\n")
    (folder / "one.d").mkdir()
    (folder / "one.d" / "x").write_text("Port 1\nHost b\nPort 2\nInclude ../config\n")
    found = scan(home.config, folder)
    assert [(one.keyword, one.section.text if one.section else "") for one in found if one.keyword == "port"][:2] == [
        ("port", "Host a"),
        ("port", "Host b"),
    ]
    assert found[-1].section is not None
    assert found[-1].section.text == "Host a"


def test_our_own_part_is_left_out(home: Home) -> None:
    home.write(put_block(b"Host mine\n", b'Match host "ours"\n', home.line))
    assert host_names(scan(home.config, home.place.folder)) == ["mine"]
    home.write(home.line + b"\nHost mine\n")
    home.place.managed.write_text("Host ours\n")
    assert host_names(scan(home.config, home.place.folder, skip=home.place.managed)) == ["mine"]


def test_names_are_made_of_patterns(home: Home) -> None:
    home.write("Host *.example.com !no *\nMatch originalhost w?b,c user z\nHost $(id) -oX=y 'q'\nHost web\nHost web\n")
    assert host_names(scan(home.config, home.place.folder)) == ["x.example.com", "no", "x", "wxb", "c", "web"]


def test_sections_know_whom_they_may_apply_to(home: Home) -> None:
    home.write("Host * !i-*\nPort 1\nHost i-0*\nPort 2\nMatch exec t\nPort 3\nMatch host web\nPort 4\n")
    applies = {
        one.words[0]: one.section.applies_to("i-0a1b2c3d")
        for one in scan(home.config, home.place.folder)
        if one.keyword == "port" and one.section is not None
    }
    assert applies == {"1": False, "2": True, "3": True, "4": False}


@given(st.binary(max_size=300))
def test_nothing_in_a_file_stops_it(tmp_path_factory: object, content: bytes) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "any"  # type: ignore[attr-defined]
    path.write_bytes(content)
    host_names(scan(path, path.parent))
