"""Inputs and outputs by botocore's models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from ssm_ssh.lab.api.context import ServiceContext
from ssm_ssh.lab.api.documents import Documents
from ssm_ssh.lab.api.ec2 import Ec2
from ssm_ssh.lab.api.run_command import Commands
from ssm_ssh.lab.api.ssm import Ssm
from ssm_ssh.lab.options import LabOptions
from ssm_ssh.lab.state import LabState
from ssm_ssh.lab.wire import shapes


def inside(shape: Any) -> Iterator[Any]:  # noqa: ANN401 - botocore's shapes
    yield shape
    for one in (*getattr(shape, "members", {}).values(), getattr(shape, "member", None), getattr(shape, "value", None)):
        if one is not None:
            yield from inside(one)


def test_every_pattern_that_is_met_can_be_judged() -> None:
    served = {"ssm": Ssm, "ssm ": lambda world: Commands(world, Documents()), "ec2": Ec2}
    world: Any = ServiceContext(LabState(LabOptions(instances=1)), None, None)  # type: ignore[arg-type]
    for name, kind in served.items():
        model = shapes.service(name.strip())
        for operation, one in kind(world).operations().items():
            if one.modelled and model.operation_model(operation).input_shape:
                for shape in inside(model.operation_model(operation).input_shape):
                    if "pattern" in shape.metadata:
                        assert isinstance(shapes._pattern(shape.metadata["pattern"]), re.Pattern)


def test_constraints_inside_lists_and_maps_are_found() -> None:
    model = shapes.service("ssm").operation_model("DescribeInstanceInformation")
    text = shapes.violations(model, {"Filters": [{"Key": "", "Values": ["x"]}], "MaxResults": 51})
    assert "'filters.1.member.key'" in text
    assert (
        "Value '51' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 50"
        in (text)
    )


def test_sensitive_values_are_not_repeated() -> None:
    model = shapes.service("ssm").operation_model("SendCommand")
    assert shapes.violations(model, {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["x"]}}) == ""


def test_a_wrong_type_is_told_apart() -> None:
    model = shapes.service("ssm").operation_model("DescribeInstanceInformation")
    for wrong in ({"MaxResults": "5"}, {"MaxResults": True}, {"Filters": {}}, {"NextToken": 1}):
        with pytest.raises(shapes.WrongType):
            shapes.violations(model, wrong)


def test_output_holds_members_of_the_model_only() -> None:
    shape = shapes.service("ssm").operation_model("StartSession").output_shape
    assert shapes.to_json(shape, {"SessionId": "a", "TokenValue": None, "Other": 1}) == {"SessionId": "a"}


def test_xml_is_escaped() -> None:
    shape = shapes.service("sts").operation_model("GetCallerIdentity").output_shape
    assert shapes.to_xml(shape, {"Arn": "<&>"}, "r") == "<r><Arn>&lt;&amp;&gt;</Arn></r>"
