"""What the owner of a lab can change while it runs."""

from __future__ import annotations

from collections.abc import Iterator

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
