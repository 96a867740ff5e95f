"""Whose credentials settings lead to: told apart without getting them, which may take seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings

# What credentials may come from where no profile holds them, as botocore's chain looks for them.
_ELSEWHERE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


def whose(settings: AwsSettings) -> tuple[str, ...]:
    """Return what tells the credentials of `settings` from others, without getting them, for that may take seconds.

    No secret is among it. Where it is equal, so are they; the same ones under two names may get two pushes.
    """
    env, files, name = settings.env, settings.files, settings.profile_name
    key = env.get("AWS_ACCESS_KEY_ID", "")
    if key and not settings.explicit_profile:  # then no profile counts, whatever AWS_PROFILE says
        return ("environment", key)
    # A login tool may have put other keys under the name meanwhile; a role may be assumed with the environment's.
    keys = [
        str(section.get(name, {}).get("aws_access_key_id", "")) for section in (files.credentials, files.own_profiles)
    ]
    paths = (files.config_path, files.credentials_path)
    elsewhere = [env.get(variable, "") for variable in _ELSEWHERE]
    # What the environment points at comes before a profile, or after one that was named for this connection.
    order = str(settings.explicit_profile) if any(elsewhere) else ""
    return ("profile", name, *paths, *keys, key, *elsewhere, order)


def mark(settings: AwsSettings) -> str:
    """Return eight characters that stand for `whose(settings)`, to be kept beside what they have found out."""
    from hashlib import sha256

    return sha256(repr(whose(settings)).encode()).hexdigest()[:8]
