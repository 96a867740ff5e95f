from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.services.platform_users import default_user
from ssm_ssh.names import check_user


@pytest.mark.parametrize(
    ("platform", "user"),
    [
        ("Amazon Linux", "ec2-user"),
        ("Amazon Linux AMI", "ec2-user"),
        ("Ubuntu", "ubuntu"),
        ("Debian GNU/Linux", "admin"),
        ("CentOS Linux", "centos"),
        ("Red Hat Enterprise Linux Server", "ec2-user"),
        ("Fedora Linux", "fedora"),
        ("SLES", "ec2-user"),
        ("SUSE Linux Enterprise Server", "ec2-user"),
        ("bitnami", "bitnami"),
        ("Microsoft Windows Server 2022 Datacenter", ""),
        ("", ""),
    ],
)
def test_the_usual_user(platform: str, user: str) -> None:
    assert default_user(platform) == user
    assert default_user(f" {platform.upper()} 2023") == user


@given(st.text(max_size=40))
def test_whatever_a_platform_is_called_its_user_is_one(platform: str) -> None:
    user = default_user(platform)
    assert not user or check_user(user) == user
