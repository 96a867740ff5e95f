"""Commands of the AWS CLI for hints, in a form that both v1 and v2 accept.

`aws sso login`, `aws login` and `aws configure sso` are not among them, because v1 lacks them: hints name
`ssm-ssh login` for logins.
"""

from __future__ import annotations


def configure(profile: str = "") -> str:
    """Return the command that asks for keys and region; `profile` "": that of the environment."""
    return _command("configure", profile=profile)


def set_region(profile: str = "") -> str:
    """Return the command that stores a region."""
    return _command("configure", "set", "region", "eu-central-1", profile=profile)


def whoami(profile: str = "") -> str:
    """Return the command that shows the identity of the credentials in use."""
    return _command("sts", "get-caller-identity", profile=profile)


def start_instance(instance_id: str, region: str, profile: str = "") -> str:
    """Return the command that starts an EC2 instance."""
    return _command("ec2", "start-instances", "--instance-ids", instance_id, "--region", region, profile=profile)


def _command(*words: str, profile: str) -> str:
    import shlex

    # The CLI would take a name that begins with a dash for an option.
    named = [f"--profile={profile}"] if profile.startswith("-") else ["--profile", profile] if profile else []
    return shlex.join(["aws", *words, *named])
