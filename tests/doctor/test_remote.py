"""Each cause in the lab's account, asked through the real client: the right finding first, and no other cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_ssh.doctor import remote
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.doctor.instance import Place
from ssm_ssh.lab.cloud.rules import permission
from tests.doctor.conftest import Account
from tests.e2e.policies import documented
from tests.lab.api.conftest import EDGE, OFF, STOPPED, WEB

PLACE = Place("eu-central-1", "eu-central-1", "prod")


def examine(account: Account, instance_id: str, identity: str = "admin") -> list[Finding]:
    recorded = remote.collect(account.api(identity), instance_id, api_in=lambda region: account.api(identity, region))
    return remote.check(recorded, instance_id, PLACE)


def problems(findings: list[Finding]) -> list[str]:
    return [item.name for item in findings if item.state is State.PROBLEM]


@pytest.mark.parametrize("instance_id", [WEB, EDGE])
@pytest.mark.parametrize("way", ["", "public_address", "endpoints"])
def test_a_healthy_target_is_all_right(account: Account, instance_id: str, way: str) -> None:
    if way and instance_id == WEB:
        account.fault(way, instance_id)
    findings = examine(account, instance_id)
    assert [item for item in findings if item.state is not State.OK] == []
    names = [item.name for item in findings]
    if instance_id == WEB:
        assert names == [
            "instance", "status checks", "role", "network", "agent", "agent version", "preferences"
        ]  # fmt: skip
    else:
        assert names == ["instance", "tier", "agent", "agent version", "preferences"]


# What the evidence says, for each cause; * is the instance.
CAUSES = {
    "terminated": ("instance", "it is terminated"),
    "pending": ("instance", "it is starting"),
    "status_check_failed": ("status checks", "EC2's instance check fails"),
    "other_region": ("instance", "is in eu-west-1, not in eu-central-1"),
    "other_account": ("instance", "or in any other region of the account"),
    "never_registered": ("agent", "never registered"),
    "agent_not_restarted": ("agent", "never registered"),
    "agent_old": ("agent version", "2.2.619.0 is too old for sessions, ssh"),
    "no_profile": ("instance profile", "no instance profile is attached"),
    "wrong_trust": ("trust", "does not let EC2 assume it"),
    "role_lacks_actions": ("role", "does not allow ssm:UpdateInstanceInformation and 4 more"),
    "egress_closed": ("network: egress", "allow no TCP port 443 outwards to the internet"),
    "acl_out_closed": ("network: acl outbound", "denies requests (outbound TCP 443)"),
    "acl_in_closed": ("network: acl inbound", "denies answers (inbound TCP 32768-60999)"),
    "no_route": ("network: route", "has no route out of the VPC"),
    "no_nat": ("network: nat", "which is deleted"),
    "no_public_address": ("network: public address", "the instance has no public address"),
    "endpoint_missing": ("network: endpoint", "none that is available for ssmmessages"),
    "endpoint_group_closed": ("network: endpoint group", "do not let the instance reach port 443"),
    "endpoint_without_dns": ("network: endpoint dns", "has no private DNS name"),
    "endpoint_policy": ("network: endpoint policy", "does not allow ssm:UpdateInstanceInformation"),
    "ipv6_only": ("network: ipv6", "has an IPv6 address only"),
}


@pytest.mark.parametrize("fault", CAUSES)
def test_each_cause_is_the_only_problem(account: Account, fault: str) -> None:
    account.fault(fault, WEB)
    findings = examine(account, WEB)
    name, evidence = CAUSES[fault]
    assert problems(findings) == [name], findings
    [cause] = [item for item in findings if item.name == name]
    assert evidence in cause.evidence
    assert cause.todo
    assert findings[0].name == "instance"


def test_a_stopped_instance_and_a_lost_connection(account: Account) -> None:
    [finding] = examine(account, STOPPED)
    assert (finding.state, finding.evidence) == (State.PROBLEM, "it is stopped")
    command = f"aws ec2 start-instances --instance-ids {STOPPED} --region eu-central-1 --profile prod"
    assert finding.todo == f"Start it: {command}"
    account.state.agent_gone(WEB)
    findings = examine(account, WEB)
    assert problems(findings) == ["agent"]
    assert "its last ping was 20" in next(item.evidence for item in findings if item.name == "agent")


def test_an_agent_that_never_ran(account: Account) -> None:
    assert problems(examine(account, OFF)) == ["agent"]


@pytest.mark.parametrize(
    ("fault", "name", "more"),
    [("standard_tier", "tier", []), ("activation_expired", "agent", ["activation"])],
)
def test_managed_nodes(account: Account, fault: str, name: str, more: list[str]) -> None:
    account.fault(fault, EDGE)
    findings = examine(account, EDGE)
    assert problems(findings) == [name]
    assert [item.name for item in findings if item.state is State.WARNING] == more


def test_a_managed_node_that_does_not_exist(account: Account) -> None:
    findings = examine(account, "mi-0fffffffffffffffe")
    assert problems(findings) == ["instance"]
    assert "no managed node" in findings[0].evidence


def deny_key(account: Account) -> None:
    account.faults.deny(action="kms:GenerateDataKey", policy="identity-based policy")


@pytest.mark.parametrize(
    ("inputs", "more", "name", "state"),
    [
        ({"kmsKeyId": "alias/lab"}, lambda _: None, "session key", State.OK),
        ({"kmsKeyId": "alias/lab"}, deny_key, "session key", State.PROBLEM),
        ({"runAsEnabled": True, "runAsDefaultUser": "operator"}, lambda _: None, "run as", State.NOT_CHECKED),
        ({"runAsEnabled": True}, lambda _: None, "run as", State.NOTE),
        ({"s3BucketName": "logs"}, lambda _: None, "session logs", State.NOTE),
        ({"cloudWatchLogGroupName": "/missing"}, lambda _: None, "session logs", State.PROBLEM),
        ({"cloudWatchLogGroupName": "/session-manager"}, lambda _: None, "session logs", State.OK),
        ({"cloudWatchLogGroupName": "/not-encrypted"}, lambda _: None, "session logs", State.PROBLEM),
        (
            {"cloudWatchLogGroupName": "/missing", "cloudWatchEncryptionEnabled": False},
            lambda _: None,
            "session logs",
            State.WARNING,
        ),
        ({"idleSessionTimeout": "5", "maxSessionDuration": "60"}, lambda _: None, "session limits", State.NOTE),
    ],
)
def test_preferences(
    account: Account, inputs: dict[str, object], more: Callable[[Account], None], name: str, state: State
) -> None:
    account.services.ssm.documents.prefer(inputs)
    more(account)
    [finding] = [item for item in examine(account, WEB) if item.name == name]
    assert finding.state is state


# Each permission that is asked for, and the finding that it takes away.
PERMISSIONS = {
    "ssm:GetConnectionStatus": "",
    "ssm:DescribeInstanceInformation": "agent",
    "ec2:DescribeInstanceStatus": "status checks",
    "ec2:DescribeSecurityGroups": "network",
    "ec2:DescribeSubnets": "network",
    "ec2:DescribeNetworkAcls": "network",
    "ec2:DescribeRouteTables": "network",
    "ec2:DescribeNatGateways": "network",
    "ec2:DescribeVpcEndpoints": "network",
    "ec2:DescribeVpcAttribute": "network",
    "iam:GetInstanceProfile": "role",
    "iam:SimulatePrincipalPolicy": "",
    "ssm:GetDocument": "preferences",
}


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_what_could_not_be_seen_is_never_called_good(account: Account, permission: str) -> None:
    account.fault("no_route", WEB)
    account.faults.deny(action=permission)
    findings = examine(account, WEB)
    missing = [item for item in findings if item.state is State.NOT_CHECKED]
    name = PERMISSIONS[permission]
    assert [item.name for item in missing] == ([name] if name and name != "agent" else []), findings
    assert all(permission in item.evidence for item in missing)
    assert not any(item.name == name and item.state is State.OK for item in findings)


def test_sessions_alone_are_enough_to_be_told_what_is_missing(account: Account) -> None:
    findings = examine(account, WEB, "sessions-only")
    assert {item.state for item in findings} == {State.NOT_CHECKED}
    assert all("permission" in item.evidence for item in findings)


def test_without_the_instance_neither_role_nor_network_is_called_good(account: Account) -> None:
    account.fault("no_route", WEB)
    account.faults.deny(action="ec2:DescribeInstances")
    findings = {item.name: item for item in examine(account, WEB)}
    for name in ("instance", "role", "network"):
        assert findings[name].state is State.NOT_CHECKED
        assert "ec2:DescribeInstances" in findings[name].evidence


def test_a_prefix_list_that_cannot_be_read(account: Account) -> None:
    account.fault("never_registered", WEB)
    network = account.state.instances[WEB].site.vpc

    def narrow() -> None:
        rules = [permission("tcp", 443, 443, lists=("pl-6ea54007",))]
        network.objects["SecurityGroups"][0]["IpPermissionsEgress"] = rules

    narrow()
    # Its addresses are those of S3 only.
    [finding] = [item for item in examine(account, WEB) if item.name.startswith("network")]
    assert (finding.name, finding.state) == ("network: egress", State.WARNING)
    account.faults.deny(action="ec2:GetManagedPrefixListEntries")
    [finding] = [item for item in examine(account, WEB) if item.name.startswith("network")]
    assert (finding.name, finding.state) == ("network", State.NOT_CHECKED)
    assert "ec2:GetManagedPrefixListEntries" in finding.evidence


def test_expired_credentials_say_what_helps(account: Account) -> None:
    findings = examine(account, WEB, "expired")
    assert {item.state for item in findings} == {State.NOT_CHECKED}
    assert all("expired" in item.evidence for item in findings)
    assert all(item.todo != "Try again later" for item in findings)


def test_without_simulation_the_policies_are_read(account: Account) -> None:
    account.fault("role_lacks_actions", WEB)
    account.faults.deny(action="iam:SimulatePrincipalPolicy")
    assert problems(examine(account, WEB)) == ["role"]


def test_the_documented_policy_has_every_permission_that_is_needed(account: Account) -> None:
    account.services.ssm.documents.prefer({"kmsKeyId": "alias/lab", "cloudWatchLogGroupName": "/session-manager"})
    rules = [permission("tcp", 443, 443, lists=("pl-6ea54007",))]
    for fault in ("other_account", "no_profile", "wrong_trust"):
        account.heal(WEB)
        account.fault(fault, WEB)
        account.state.instances[WEB].site.vpc.objects["SecurityGroups"][0]["IpPermissionsEgress"] = rules
        examine(account, WEB)
    account.fault("activation_expired", EDGE)
    examine(account, EDGE)
    account.faults.deny(action="iam:SimulatePrincipalPolicy")
    examine(account, WEB)
    made = {f"{call.service}:{call.operation}" for call in account.state.calls()}
    policy = documented("A policy for the doctor")
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {"ec2:DescribeDhcpOptions", "iam:GetRolePolicy", "ssm:DescribeActivations", "logs:DescribeLogGroups"} <= made
    assert made - allowed == {"sts:GetCallerIdentity"}  # which needs no permission


def test_nothing_is_changed(account: Account) -> None:
    account.fault("no_route", WEB)
    examine(account, WEB)
    examine(account, EDGE)
    made = {call.operation for call in account.state.calls()}
    assert {name for name in made if not name.startswith(("Describe", "Get", "List", "Simulate"))} == set()
