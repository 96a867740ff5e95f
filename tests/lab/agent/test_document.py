"""What a document and its parameters ask of the agent."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_ssh.lab.agent.document import (
    Preferences,
    dereference,
    parameter_values,
    preferences,
    references,
    replace,
    to_bool,
)


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ("{{ x }}", "1"),
        ("{{x}}", "1"),
        ("{{list}}", ["a", "b"]),
        ("{{list}} {{x}}", '["a","b"] 1'),
        ("{{other}} {{.Names}}", "{{other}} {{.Names}}"),
        ({"a": ["{{x}}", 2, None]}, {"a": ["1", 2, None]}),
        ("{{nested}}", "{{x}}"),  # what has been put in is not looked at again
        ("<{{dollars}}>", "<a$b>"),
        ("{{dollars}}", "a$$b"),
    ],
)
def test_parameters_are_replaced_once(value: Any, replaced: Any) -> None:  # noqa: ANN401 -- JSON
    parameters = {"x": "1", "list": ["a", "b"], "nested": "{{x}}", "dollars": "a$$b"}
    assert replace(value, parameters) == replaced


def test_parameters_have_the_documents_defaults() -> None:
    document = {"parameters": {"n": {"default": "22"}, "host": {}}}
    assert parameter_values(document, {"n": "2222", "bad-name": "x"}) == {"n": "2222", "host": ""}
    assert parameter_values(document, {}) == {"n": "22", "host": ""}


def test_references_to_the_parameter_store_are_replaced() -> None:
    value = {"a": "{{ssm:/x/y}} {{ ssm:z }} {{ssm:/x/y}} {{ ssm : w }}", "b": ["{{ssm:v:2}}", 1]}
    assert references(value) == ["/x/y", "z", "v:2"]
    replaced = dereference(value, {"/x/y": "1", "v:2": "3"})
    assert replaced == {"a": "1 {{ ssm:z }} 1 {{ ssm : w }}", "b": ["3", 1]}


@pytest.mark.parametrize(("value", "read"), [(None, False), ("", False), (True, True), ("T", True), ("0", False)])
def test_booleans_are_read_as_go_reads_them(value: object, read: bool) -> None:
    assert to_bool(value) is read


@pytest.mark.parametrize("value", ["yes", 1])
def test_what_is_no_boolean_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="invalid"):
        to_bool(value)


def test_preferences_are_what_the_inputs_name() -> None:
    assert preferences({}) == Preferences()
    inputs = {"kmsKeyId": "k", "runAsEnabled": "true", "runAsDefaultUser": "u", "shellProfile": {"linux": "cd"}}
    assert preferences(inputs) == Preferences("k", True, "u", "cd")
    logs = {"cloudWatchLogGroupName": "g", "s3BucketName": "b"}
    assert preferences(logs) == Preferences()
    encrypted = {**logs, "cloudWatchEncryptionEnabled": True, "s3EncryptionEnabled": True}
    assert preferences(encrypted) == Preferences(log_group="g", log_bucket="b")
