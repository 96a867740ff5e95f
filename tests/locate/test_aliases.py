from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.locate.aliases import Named, base_of, choose, is_alias
from ssm_ssh.names import LONGEST_LABEL
from ssm_ssh.sshconfig.patterns import is_ours

A, B, C = "i-0123456789abcdef0", "i-0fedcba9876543210", "mi-00112233445566778"
SPELLED = {
    "web 1": "web-1",
    " web ": "web",
    "a__b  c": "a__b-c",
    "_web": "web",
    "-web": "web",
    "w\u00e9b": "web",
    "we\u0301b": "web",
    "M\u00fcnchen [db] (1)": "Munchen-db-1",
    "Stra\u00dfe \u00e6 \u0142": "Strasse-ae-l",
    "\uff57\uff45\uff42\uff11": "web1",
    # What loses letters is told apart by the id.
    "\u6771\u4eac-db": "db-9abcdef0",
    "\u6771\u4eac": "instance-9abcdef0",
    "\u0432\u0435\u0431-7": "7-9abcdef0",
    "[]": "instance-9abcdef0",
}
HOSTILE = [
    "github.com",
    "web *",
    "*",
    "!web",
    "web?",
    "web\nHost github.com",
    "web\r",
    'we"b',
    "we'b",
    "$(id)",
    "`id`",
    "a;b",
    "-oProxyCommand=x",
    "web\x1b]0;x\x07",
    "web\u202e",
    "w\u00e9b\u202e",
    "",
    " ",
    "x" * 300,
    "\u00e9" * 300,
    "x" * 64,
    A,
    A.upper(),
    C,
    f"({A})",
    "%h",
    "a/b",
    "../web",
    "web\0",
    "web\u2028Host x",
]


def nothing(_: str) -> str:
    return ""


def names(**instances: str) -> dict[str, str]:
    ids = {"a": A, "b": B, "c": C}
    found = choose([Named(ids[key], name) for key, name in instances.items()], nothing)
    return {key: found.aliases[ids[key]] for key in instances if ids[key] in found.aliases}


def test_a_good_name_is_its_own_alias() -> None:
    assert names(a="web-1", b="Db_2", c="x" * 63) == {"a": "web-1", "b": "Db_2", "c": "x" * 63}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_what_is_no_plain_label_is_no_alias(name: str) -> None:
    found = choose([Named(A, name), Named(B, "web")], nothing)
    assert found.aliases == {B: "web"}
    assert [(one.instance_id, one.name) for one in found.skipped] == [(A, name)]
    assert found.skipped[0].reason
    assert not is_alias(name)


@pytest.mark.parametrize("name", SPELLED, ids=ascii)
def test_a_name_that_is_no_plain_label_is_spelled_as_one(name: str) -> None:
    chosen = choose([Named(A, name), Named(B, "other")], nothing)
    assert chosen.aliases == {A: SPELLED[name], B: "other"}
    assert not is_alias(name)


def test_a_spelled_name_takes_none_that_another_has() -> None:
    assert names(a="web 1", b="web-1") == {"a": "web-1-9abcdef0", "b": "web-1"}
    assert names(a="web 1", b="web (1)") == {"a": "web-1-9abcdef0", "b": "web-1-76543210"}


def test_names_of_several_instances_are_told() -> None:
    chosen = choose([Named(A, "web"), Named(B, "WEB"), Named(C, "db"), Named("i-0a1b2c3d", "db 1")], nothing)
    assert chosen.shared == {"WEB": [A, B]}


def test_nobody_keeps_a_name_that_two_have() -> None:
    assert names(a="web", b="web") == {"a": "web-9abcdef0", "b": "web-76543210"}
    assert names(a="web", b="WEB", c="db") == {"a": "web-9abcdef0", "b": "WEB-76543210", "c": "db"}


def test_nobody_is_called_what_another_would_be() -> None:
    """Whoever names an instance after another's id takes nothing from it."""
    assert names(a="web", b="web-9abcdef0") == {"a": "web", "b": "web-9abcdef0-76543210"}
    assert names(a="web", b=f"web-{A}") == {"a": "web", "b": f"web-{A}-76543210"}
    assert names(a="web", b="WEB-9ABCDEF0", c="web") == {
        "a": "web-9abcdef0",
        "b": "WEB-9ABCDEF0-76543210",
        "c": "web-45566778"[:4] + C[-8:],
    }


def test_where_digits_are_the_same_the_whole_id_tells_them_apart() -> None:
    other = "i-0fffffffffabcdef0"[:11] + A[-8:]
    found = choose([Named(A, "web"), Named(other, "web"), Named("i-9abcdef0", "web")], nothing)
    assert found.aliases == {one: f"web-{one}" for one in (A, other, "i-9abcdef0")}


def test_long_names_make_room() -> None:
    found = names(a="x" * 63, b="x" * 63)
    assert found == {"a": "x" * 54 + "-9abcdef0", "b": "x" * 54 + "-76543210"}


def test_a_name_with_a_meaning_is_not_used_bare() -> None:
    found = choose([Named(A, "localhost"), Named(B, "web-1")], lambda name: "hosts" if name == "localhost" else "")
    assert found.aliases == {A: "localhost-9abcdef0", B: "web-1"}
    found = choose([Named(A, "web-1"), Named(B, "db")], lambda name: "'Host web*'" if name.startswith("web") else "")
    assert found.aliases == {B: "db"}
    assert [(one.name, one.reason) for one in found.skipped] == [("web-1", "'Host web*'")]


@pytest.mark.parametrize("name", ["2130706433", "0x7f000001", "1"])
def test_numbers_are_addresses_to_the_resolver(name: str) -> None:
    assert names(a=name) == {"a": f"{name}-9abcdef0"}


def test_an_instance_that_is_seen_twice_is_one() -> None:
    assert choose([Named(A, "web"), Named(A, "web")], nothing).aliases == {A: "web"}


def test_the_base_of_an_alias() -> None:
    assert base_of("web", A) == base_of("web-9abcdef0", A) == base_of(f"web-{A}", A) == "web"
    assert base_of("web-76543210", A) == "web-76543210"


ids = st.one_of(
    st.integers(0, 9).map(lambda n: f"i-{n:017x}"),
    st.integers(0, 9).map(lambda n: f"mi-{n:017x}"),
    st.integers(0, 9).map(lambda n: f"i-{n:08x}"),
)
some_names = st.one_of(
    st.sampled_from(["web", "WEB", "web-00000001", "web-i-00000001", f"web-i-{1:017x}", "web-00000001-00000002", "1"]),
    st.text(max_size=70),
    st.from_regex(r"[a-c]{50}[a-b-]{1,14}", fullmatch=True),
)


@given(st.lists(st.builds(Named, ids, some_names), max_size=12), st.randoms(), st.sets(st.text(max_size=8)))
def test_aliases_are_plain_unique_and_do_not_depend_on_order(
    instances: list[Named], random: object, known: set
) -> None:
    instances = list({one.instance_id: one for one in instances}.values())

    def meaning(name: str) -> str:
        return "known" if name in known else ""

    found = choose(instances, meaning)
    lower = [name.lower() for name in found.aliases.values()]
    assert len(set(lower)) == len(lower)
    for name in found.aliases.values():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", name)
        assert len(name) <= LONGEST_LABEL
        assert name not in known
        assert not is_ours(name)
    assert {*found.aliases} | {one.instance_id for one in found.skipped} == {one.instance_id for one in instances}
    for one in instances:
        alias = found.aliases.get(one.instance_id)
        if alias and alias == one.name:
            assert sum(other.name.lower() == alias.lower() for other in instances) == 1
    random.shuffle(instances)
    again = choose(instances, meaning)
    assert again.aliases == found.aliases
    assert sorted(again.skipped) == sorted(found.skipped)


def test_no_alias_looks_like_the_id_of_another_instance() -> None:
    ids = [f"i-{number:017x}" for number in (1, 2)]
    found = choose([Named(ids[0], "i"), Named(ids[1], "I")], lambda _: "")
    assert sorted(found.aliases.values()) == [f"I-{ids[1]}", f"i-{ids[0]}"]
    assert base_of(found.aliases[ids[0]], ids[0]) == "i"
