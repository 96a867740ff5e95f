"""The check of AWS credentials: whether any are configured, and where. Nothing is called, and no program is run."""

from __future__ import annotations

import os

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import SsmSshError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.aws.config.settings import AwsSettings

_NAME = "credentials"


def check(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Return where the credentials of the chosen profile come from.

    It is a problem if no profile has any: otherwise a host name may name another profile.
    """
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.aws.config.settings import load
    from ssm_ssh.aws.credentials.origin import find_origin, may_have_instance_role
    from ssm_ssh.locate import resolver, selection
    from ssm_ssh.settings import schema

    choice = selection.choose(schema.load(env=env), env)
    try:
        # Credentials need no region, but settings cannot be loaded without one.
        aws = resolver.aws_settings(choice._replace(fallback=choice.fallback or "us-east-1"), env)
        origin = find_origin(aws)
    except SsmSshError as error:
        return [Finding(_NAME, State.PROBLEM, error.message, error.hint)]
    if origin:
        return [Finding(_NAME, State.OK, origin)]
    if may_have_instance_role(aws):
        return [Finding(_NAME, State.NOTE, "none configured; this EC2 instance may have a role that grants some")]

    def usable(profile: str) -> bool:
        try:
            return bool(find_origin(load(profile=profile, region="us-east-1", env=env)))
        except SsmSshError:
            return False

    others = [name for name in sorted(SharedFiles(env).profiles) if usable(name)]
    return [_none(aws, others)]


def _none(aws: AwsSettings, others: list[str]) -> Finding:
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        todo = f"Choose another profile with AWS_PROFILE or in the host name: {shown}"
        return Finding(_NAME, State.NOTE, f"none found for profile '{aws.profile_name}'", todo)
    return Finding(
        _NAME,
        State.PROBLEM,
        f"none found in the environment, {aws.files.config_path} or {aws.files.credentials_path}",
        f"Add [{aws.profile_name}] with aws_access_key_id and aws_secret_access_key to {aws.files.credentials_path} "
        "(docs/getting-started.md shows both files)",
    )
