"""The identities of a lab: random credentials, and the part of IAM that a client can encounter."""

from __future__ import annotations

import fnmatch
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssm_ssh.lab.identity import policy as policies

_CAPITALS = string.ascii_uppercase + "234567"  # the alphabet of AWS's ids is base32
_SECRET = string.ascii_letters + string.digits + "/+"


def _draw(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


def access_key_id(prefix: str) -> str:
    """Return a random access key id: `AKIA` for a user's, `ASIA` for a temporary one."""
    return prefix + _draw(_CAPITALS, 16)


@dataclass(frozen=True)
class Identity:
    """One set of credentials and what its policy allows. Secrets stay out of the repr."""

    name: str  # the lab's name for it: admin, no-eic, ...
    arn: str
    user_id: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: float = 0.0  # seconds since the epoch; 0 = never
    allow: tuple[str, ...] = ("*",)  # patterns of actions, as in an IAM policy
    deny: tuple[str, ...] = ()  # patterns that an explicit deny names
    own_sessions: bool = False  # Resume and Terminate only on session/NAME-*
    os_users: tuple[str, ...] = ()  # the ec2:osuser condition on SendSSHPublicKey; empty: any
    documents: tuple[str, ...] = ()  # the documents of SendCommand that the policy allows; empty: any
    instance_id: str = ""  # an agent's role is bound to its instance
    policy: dict[str, Any] | None = field(default=None, repr=False)  # a whole policy document, instead of all those

    @property
    def session_name(self) -> str:
        """The name that session ids start with: the IAM user's, or the role session's."""
        return self.arn.rsplit("/", 1)[-1]

    def refused(self, action: str, resources: Sequence[str], context: Mapping[str, str]) -> str:
        """Return the first of `resources` (ARNs) on which the policy does not allow `action`, "" where it allows all.

        `context`: the request's condition keys.
        """
        if self.policy is None:
            return "" if _match(action, self.allow) and not _match(action, self.deny) else resources[0]
        # A session's id begins with the caller's name, which is what ${aws:userid} stands for in a session's ARN.
        allowed = {
            resource: policies.allows(self.policy, action, resource, context, self.session_name)
            for resource in resources
        }
        return next((resource for resource in resources if not allowed[resource]), "")

    def denied_sentence(self, action: str, resource: str, why: str = "") -> str:
        """Return AWS's sentence for a denied `action` on the ARN `resource`; `why` if not by this identity's policy.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        """
        why = why or (
            "with an explicit deny in an identity-based policy"
            if _match(action, self.deny)
            else f"because no identity-based policy allows the {action} action"
        )
        return f"User: {self.arn} is not authorized to perform: {action} on resource: {resource} {why}"


def _match(action: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def user(
    name: str,
    account: str,
    *,
    allow: tuple[str, ...] = ("*",),
    deny: tuple[str, ...] = (),
    own_sessions: bool = False,
    os_users: tuple[str, ...] = (),
    documents: tuple[str, ...] = (),
    policy: dict[str, Any] | None = None,
) -> Identity:
    """Return a new IAM user with long-term credentials."""
    return Identity(
        name=name,
        arn=f"arn:aws:iam::{account}:user/{name}",
        user_id="AIDA" + _draw(_CAPITALS, 17),
        access_key=access_key_id("AKIA"),
        secret_key=_draw(_SECRET, 40),
        allow=allow,
        deny=deny,
        own_sessions=own_sessions,
        os_users=os_users,
        documents=documents,
        policy=policy,
    )


def role_session(
    name: str,
    account: str,
    role: str,
    session: str,
    *,
    lifetime: float = 3600.0,
    allow: tuple[str, ...] = ("*",),
    instance_id: str = "",
) -> Identity:
    """Return temporary credentials of an assumed role, valid `lifetime` seconds (negative: expired already)."""
    return Identity(
        name=name,
        arn=f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        user_id=f"AROA{_draw(_CAPITALS, 17)}:{session}",
        access_key=access_key_id("ASIA"),
        secret_key=_draw(_SECRET, 40),
        token="IQoJb3JpZ2luX2Vj" + _draw(_SECRET, 300) + "==",
        expires=time.time() + lifetime,
        allow=allow,
        instance_id=instance_id,
    )


def signed_in(account: str, *, expires: float) -> Identity:
    """Return new temporary credentials of the lab's person, an IAM user who signs in to the console."""
    return Identity(
        name="sign-in",
        arn=person_arn(account),
        user_id="AIDA" + _draw(_CAPITALS, 17),
        access_key=access_key_id("ASIA"),
        secret_key=_draw(_SECRET, 40),
        token="IQoJb3JpZ2luX2Vj" + _draw(_SECRET, 300) + "==",
        expires=expires,
    )


def person_arn(account: str) -> str:
    """Return who the lab's person is after a sign-in to the console."""
    return f"arn:aws:iam::{account}:user/person"


def cast(account: str) -> list[Identity]:
    """Return the people of a lab. Agents' roles are added with their instances."""
    return [
        user("admin", account),
        role_session("temporary", account, "Operator", "temporary"),
        role_session("expired", account, "Operator", "expired", lifetime=-60.0),
        user("no-eic", account, deny=("ec2-instance-connect:*",)),
        user("no-commands", account, deny=("ssm:SendCommand",)),
        user("no-start", account, allow=("sts:*", "ssm:Describe*", "ec2:Describe*")),
        user("no-channel", account, deny=("ssmmessages:*",)),
        user("no-hostkeys", account, deny=("ssm:SendCommand", "ec2:GetConsoleOutput")),
        user(
            "sessions-only",
            account,
            allow=(
                "ssm:StartSession",
                "ssm:ResumeSession",
                "ssm:TerminateSession",
                "ssmmessages:OpenDataChannel",
                "ec2-instance-connect:SendSSHPublicKey",
            ),
            own_sessions=True,
        ),
        user("one-user", account, os_users=("ec2-user",)),
        user("own-document", account, deny=("ec2-instance-connect:*",), documents=("SsmSsh-PushKey",)),
    ]


# As in the managed policy AmazonSSMManagedInstanceCore.
AGENT_ACTIONS = (
    "ssm:UpdateInstance*",
    "ssm:ListAssociations",
    "ssm:ListInstanceAssociations",
    "ssm:GetManifest",
    "ssm:GetDocument",
    "ssm:DescribeDocument",
    "ssm:PutInventory",
    "ssm:PutComplianceItems",
    "ssmmessages:*",
    "ec2messages:*",
    "ssm:GetParameter",
    "ssm:GetParameters",
    # Not in the managed policy: encrypted and logged sessions need them, so an administrator adds them.
    "kms:Decrypt",
    "logs:DescribeLogGroups",
)
# EC2 renews an instance's credentials; here they simply outlive any lab.
_AGENT_LIFETIME = 30 * 86400.0


def agent_role(account: str, instance_id: str) -> Identity:
    """Return the role credentials of the agent on `instance_id`, good for nothing but an agent's own calls."""
    role = "SSMServiceRole" if instance_id.startswith("mi-") else "SSMInstanceProfile"
    return role_session(
        f"agent:{instance_id}",
        account,
        role,
        instance_id,
        lifetime=_AGENT_LIFETIME,
        allow=AGENT_ACTIONS,
        instance_id=instance_id,
    )
