"""Commands of the AWS CLI that hints name, each in a form that the CLI accepts: v1 and v2 have them all.

`aws sso login`, `aws login` and `aws configure sso` are not among them: v1 lacks them. Logins are `ssm-ssh login`'s.
"""

from __future__ import annotations


def configure(profile: str = "") -> str:
    """Return the command that asks for keys and region; `profile` "": the one that the environment leaves."""
    return _command("configure", profile=profile)


def set_region(profile: str = "") -> str:
    """Return the command that writes down a region."""
    return _command("configure", "set", "region", "eu-central-1", profile=profile)


def whoami(profile: str = "") -> str:
    """Return the command that shows whose credentials are used."""
    return _command("sts", "get-caller-identity", profile=profile)


def start_instance(instance_id: str, region: str, profile: str = "") -> str:
    """Return the command that starts an EC2 instance."""
    return _command("ec2", "start-instances", "--instance-ids", instance_id, "--region", region, profile=profile)


def _command(*words: str, profile: str) -> str:
    import shlex

    # A name that begins with a dash would be taken for an option.
    named = [f"--profile={profile}"] if profile.startswith("-") else ["--profile", profile] if profile else []
    return shlex.join(["aws", *words, *named])
