"""What the owner of a lab can change while it runs."""

from __future__ import annotations

import configparser
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.lab import Lab, LabOptions


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(LabOptions(instances=1, sshd="embedded")) as made:
        yield made


def test_the_accounts_preferences_can_be_changed(lab: Lab) -> None:
    before = lab.prefer()
    assert (before["kmsKeyId"], before["runAsEnabled"]) == ("", False)
    after = lab.prefer(kmsKeyId="alias/lab", runAsEnabled=True, runAsDefaultUser="ec2-user")
    assert after["kmsKeyId"].startswith(f"arn:aws:kms:{lab.region}:{lab.account}:key/")
    assert lab.prefer(**before) == before
    with pytest.raises(UsageError, match="are not defined"):
        lab.prefer(runAs=True)


def information(lab: Lab) -> dict[str, Any]:
    """What Systems Manager says of the lab's instance, {} where it has none."""
    session = botocore.session.Session()
    session.set_config_variable("region", lab.region)
    lines = configparser.ConfigParser()
    lines.read(lab.env["AWS_SHARED_CREDENTIALS_FILE"])
    client = session.create_client(
        "ssm",
        endpoint_url=lab.env["AWS_ENDPOINT_URL"],
        verify=lab.env["AWS_CA_BUNDLE"],
        aws_access_key_id=lines["admin"]["aws_access_key_id"],
        aws_secret_access_key=lines["admin"]["aws_secret_access_key"],
    )
    with contextlib.closing(client):
        found = client.describe_instance_information()["InstanceInformationList"]
    return dict(found[0]) if found else {}


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; a test that waits too long has failed by its time limit."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.05)


def test_the_surroundings_of_an_instance_change_and_come_back(lab: Lab) -> None:
    instance = lab.instances[0].instance_id
    version = information(lab)["AgentVersion"]
    lab.fault("agent_old", instance_id=instance)
    wait_until(lambda: information(lab)["AgentVersion"] == "2.2.619.0")
    lab.fault("no_route", instance_id=instance)
    wait_until(lambda: information(lab)["PingStatus"] == "ConnectionLost")
    lab.fault("never_registered", instance_id=instance)
    assert information(lab) == {}
    lab.fault("preferences", runAsEnabled=True, runAsDefaultUser="operator")
    lab.clear_faults()
    wait_until(lambda: information(lab)["PingStatus"] == "Online")
    wait_until(lambda: information(lab)["AgentVersion"] == version)
    assert lab.prefer()["runAsEnabled"] is False


def test_a_fault_of_surroundings_that_the_instance_cannot_have(lab: Lab) -> None:
    with pytest.raises(UsageError, match="cannot have the fault 'standard_tier'"):
        lab.fault("standard_tier", instance_id=lab.instances[0].instance_id)
