"""The instance profile of an instance, its role and the role's policies, with the names of IAM's API."""

from __future__ import annotations

import json
from typing import Any

NAME = "SSMInstanceProfile"
CORE = "AmazonSSMManagedInstanceCore"
# What the managed policy allows: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/
CORE_ACTIONS = (
    "ssm:DescribeAssociation",
    "ssm:GetDeployablePatchSnapshotForInstance",
    "ssm:GetDocument",
    "ssm:DescribeDocument",
    "ssm:GetManifest",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:ListAssociations",
    "ssm:ListInstanceAssociations",
    "ssm:PutInventory",
    "ssm:PutComplianceItems",
    "ssm:PutConfigurePackageResult",
    "ssm:UpdateAssociationStatus",
    "ssm:UpdateInstanceAssociationStatus",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
)
EC2, SSM = "ec2.amazonaws.com", "ssm.amazonaws.com"


class Role:
    """The role of one instance; `name` is that of its instance profile, too ("": no profile is attached)."""

    def __init__(self, account: str, *, service: str) -> None:
        """`service`: the principal that the role trusts."""
        self._account = account
        self.name = NAME if service == EC2 else "SSMServiceRole"
        self.trusted = service
        self.has_profile = service == EC2
        self.managed: dict[str, dict[str, Any]] = {CORE: policy(CORE_ACTIONS)}
        # Encrypted and logged sessions need them, so an administrator adds them.
        self.inline: dict[str, dict[str, Any]] = {"sessions": policy(("kms:Decrypt", "logs:DescribeLogGroups"))}

    @property
    def arn(self) -> str:
        """The ARN of the role."""
        return f"arn:aws:iam::{self._account}:role/{self.name}"

    @property
    def profile(self) -> dict[str, Any]:
        """The instance profile, as DescribeInstances names it."""
        identifier = "AIPA" + self.name.upper()[:17].ljust(17, "A")
        return {"Arn": f"arn:aws:iam::{self._account}:instance-profile/{self.name}", "Id": identifier}

    @property
    def trust(self) -> dict[str, Any]:
        """The document that says who may assume the role."""
        statement = {"Effect": "Allow", "Principal": {"Service": self.trusted}, "Action": "sts:AssumeRole"}
        return {"Version": "2012-10-17", "Statement": [statement]}

    @property
    def documents(self) -> list[dict[str, Any]]:
        """All policy documents of the role."""
        return [*self.managed.values(), *self.inline.values()]

    def policy_arn(self, name: str) -> str:
        """Return the ARN of the managed policy `name`."""
        return f"arn:aws:iam::{'aws' if name == CORE else self._account}:policy/{name}"

    def trust_other(self) -> None:
        """Trust Lambda instead: a role of another purpose."""
        self.name, self.trusted = "WrongTrust", "lambda.amazonaws.com"

    def lack_actions(self) -> None:
        """Have a policy that allows files in S3 only."""
        self.name = "LacksActions"
        self.managed = {"ReadFiles": policy(("s3:GetObject", "s3:ListBucket"))}
        self.inline = {}


def policy(actions: tuple[str, ...]) -> dict[str, Any]:
    """Return a policy document that allows `actions` on everything."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


def text(document: dict[str, Any]) -> str:
    """Return a policy document as IAM writes it: JSON, percent-encoded."""
    from urllib.parse import quote

    return quote(json.dumps(document), safe="")
