"""Checks of the AWS profile and region that hold where a host name says nothing."""

from __future__ import annotations

import os

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import SsmSshError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Return the profile and the region, and where each comes from. A missing region is no problem of connections."""
    from ssm_ssh.locate import resolver, selection
    from ssm_ssh.settings import schema

    choice = selection.choose(schema.load(env=env), env)
    profile = Finding("profile", State.OK, f"{choice.profile or 'default'}{_from(choice.profile_from)}")
    try:
        aws = resolver.aws_settings(choice, env)
    except SsmSshError as error:
        return [profile, Finding("region", State.NOTE, error.message, error.hint)]
    fallback = choice.fallback_from if aws.region == choice.fallback else ""
    origin = choice.region_from or fallback or f"the profile in {aws.files.config_path}"
    return [profile, Finding("region", State.OK, aws.region + _from(origin))]


def _from(origin: str) -> str:
    return f" (from {origin})" if origin else ""
