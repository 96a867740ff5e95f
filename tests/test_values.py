from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.values import json_object, object_member, objects_member, text_member

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_only_a_json_object_is_returned(value: object) -> None:
    assert json_object(json.dumps(value)) == (value if isinstance(value, dict) else None)
    assert json_object(json.dumps(value).encode()) == (value if isinstance(value, dict) else None)


@pytest.mark.parametrize("text", [None, b"", ""])
def test_no_text_is_an_empty_object(text: bytes | str | None) -> None:
    assert json_object(text) == {}


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe{", b"nan", "[" * 100_000, '{"a":' * 100_000, b"null"])
def test_text_that_is_not_json_has_no_object(text: bytes | str) -> None:
    assert json_object(text) is None


@given(st.dictionaries(st.just("name"), JSON))
def test_members_have_the_type_that_is_wanted(values: dict[str, object]) -> None:
    value = values.get("name")
    assert text_member(values, "name") == (value if isinstance(value, str) else "")
    assert object_member(values, "name") == (value if isinstance(value, dict) else {})
    items = value if isinstance(value, list) else []
    assert objects_member(values, "name") == [item for item in items if isinstance(item, dict)]
