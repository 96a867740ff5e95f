"""PURE: the default user of a platform's images, by the platform's name in Systems Manager.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html
"""

from __future__ import annotations

# Prefixes of PlatformName (NAME in /etc/os-release), in lower case.
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
    """Return the default user of images of `platform`, "" where there is none."""
    name = platform.strip().lower()
    return next((user for prefix, user in _USERS if name.startswith(prefix)), "")
