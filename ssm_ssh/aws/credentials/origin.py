"""Where the credentials of a profile would come from, as far as files and environment tell: nothing is called or run.

The order is that of botocore's chain, see aws.credentials.source.
"""

from __future__ import annotations

from ssm_ssh.aws.config.ini import expand
from ssm_ssh.aws.credentials.source import static_credentials
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings

_PROFILE_KINDS = (
    ("role_arn", "an assumed role"),
    ("web_identity_token_file", "web identity"),
    ("sso_session", "an SSO login"),
    ("sso_start_url", "an SSO login"),
    ("sso_account_id", "an SSO login"),
    ("login_session", "a login"),
    ("credential_process", "credential_process"),
)
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
# botocore reads these for the sake of boto 2.
_OLD_FILES = ("/etc/boto.cfg", "~/.boto")
# The names by which Nitro and Xen instances are known to be EC2.
_EC2_MARKS = (("/sys/devices/virtual/dmi/id/sys_vendor", "Amazon EC2"), ("/sys/hypervisor/uuid", "ec2"))


def find_origin(settings: AwsSettings) -> str:
    """Return where the credentials of `settings` would come from, "" where none are configured.

    Raises CredentialsError where static keys are incomplete or unusable.
    """
    static = static_credentials(settings)
    if static is not None:
        return static.source
    env, name = settings.env, settings.profile_name
    if not settings.explicit_profile and env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)"
    values = settings.files.profiles.get(name, {})
    for key, kind in _PROFILE_KINDS:
        if key in values:
            return f"{kind} (profile '{name}', {key})"
    variable = next(filter(env.get, _CONTAINER), "")
    if variable:
        return f"the container ({variable})"
    return next((path for path in _OLD_FILES if _read(expand(path, env))), "")


def may_have_instance_role(settings: AwsSettings) -> bool:
    """Return whether this machine is an EC2 instance, whose role botocore asks for last."""
    if settings.env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    return any(_read(path).startswith(mark) for path, mark in _EC2_MARKS)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as in aws.config.ini
            return file.read(4096)
    except OSError:
        return ""
