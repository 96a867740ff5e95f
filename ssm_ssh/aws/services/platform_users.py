"""PURE: which user a platform's images usually have, by the platform's name as Systems Manager tells it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html
"""

from __future__ import annotations

# Beginnings of PlatformName (what /etc/os-release calls NAME), in lower case.
_USERS = (
    ("amazon linux", "ec2-user"),
    ("ubuntu", "ubuntu"),
    ("debian", "admin"),
    ("centos", "centos"),
    ("red hat", "ec2-user"),
    ("rhel", "ec2-user"),
    ("fedora", "fedora"),
    ("sles", "ec2-user"),
    ("suse", "ec2-user"),
    ("opensuse", "ec2-user"),
    ("oracle linux", "ec2-user"),
    ("rocky", "rocky"),
    ("almalinux", "ec2-user"),
    ("bitnami", "bitnami"),
    ("bottlerocket", "ec2-user"),
    ("macos", "ec2-user"),
)


def default_user(platform: str) -> str:
    """Return the user that images of `platform` come with, "" where there is no usual one."""
    name = platform.strip().lower()
    return next((user for beginning, user in _USERS if name.startswith(beginning)), "")
