"""Which credentials the settings lead to, without getting them, which may take seconds."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings

# What credentials may come from where no profile holds them, as botocore's chain looks for them.
_ELSEWHERE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


def credential_source(settings: AwsSettings) -> tuple[str, ...]:
    """Return what distinguishes the credentials of `settings` from others, without getting them; it has no secret.

    Equal sources mean equal credentials. The same credentials under two names have two sources.
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


def credential_fingerprint(settings: AwsSettings) -> str:
    """Return eight characters that stand for the credentials of `settings`, to be stored with what they found out."""
    from hashlib import sha256

    return sha256(repr(credential_source(settings)).encode()).hexdigest()[:8]
