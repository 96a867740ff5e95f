"""Region and profile said in the host name, remembered, or wrong; and the user whom nobody named."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.e2e.world import World, until

pytestmark = pytest.mark.e2e

PROFILE = "temporary"


def keys_of(world: World, operation: str) -> list[str]:
    """The access keys with which `operation` was called so far."""
    return [one["access_key"] for one in world.lab.calls(operation)]


def test_labels_of_the_host_name_choose(world: World) -> None:
    web, region = world.web, world.lab.region
    key = world.lab.identities[PROFILE]["AccessKeyId"]
    for labels in (f"{region}.{PROFILE}", f"{PROFILE}.{region}", PROFILE.upper()):
        before = len(keys_of(world, "StartSession"))
        done = world.run("ssh", f"{web.users[0]}@{web.instance_id}.{labels}", "id -un")
        assert done.stdout.decode().strip() == web.users[0]
        assert keys_of(world, "StartSession")[before:] == [key]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("us-east-1", "(profile 'default': profile from AWS_ACCESS_KEY_ID, region from the host name)"),
        ("staging", "'staging' in the host name is neither a region nor a configured profile"),
    ],
)
def test_a_wrong_label_says_so(world: World, labels: str, said: str) -> None:
    done = world.run("ssh", f"{world.web.destination}.{labels}", "true", expect=255)
    assert said in done.stderr


def test_what_was_reached_by_a_profile_is_reached_by_it_again(world: World, tmp_path: Path) -> None:
    """Without keys, profile or region in the environment: what an earlier connection chose is known."""
    web = world.web
    env = {name: value for name, value in world.lab.env.items() if not name.startswith("SSM_SSH_LAB_")}
    env = {name: value for name, value in env.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    env = {name: value for name, value in env.items() if name not in ("AWS_REGION", "AWS_DEFAULT_REGION")}
    env["XDG_STATE_HOME"] = str(tmp_path)
    world.run("ssh", f"{web.destination}.{PROFILE}", "true", env=env)
    before = len(keys_of(world, "StartSession"))
    world.run("ssh", web.destination, "true", env=env)
    assert keys_of(world, "StartSession")[before:] == [world.lab.identities[PROFILE]["AccessKeyId"]]


def test_the_usual_user_is_named_where_none_was_given(world: World, tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    env = {**world.lab.env, "XDG_STATE_HOME": str(tmp_path)}

    def said() -> str:
        return world.run("ssh", world.web.instance_id, "true", env=env, expect=255).stderr

    # No login waits longer than two seconds for the name, which a busy machine may take.
    until(lambda: f"ssh logs in as {me}, your name here; the usual user is ec2-user" in said(), "the usual user")
    done = world.run("ssh", world.web.destination, "true", env=env)
    assert "usual user" not in done.stderr
