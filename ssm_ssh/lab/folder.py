"""The files of a lab's folder: what a shell, ssh, git and the AWS CLI need to use the lab."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ssm_ssh.installation import program, script
from ssm_ssh.lab.environment import aws_environment, shell_lines
from ssm_ssh.lab.identity.identities import Identity, person_arn
from ssm_ssh.lab.login.identity_center import ROLE
from ssm_ssh.lab.state import LabState
from ssm_ssh.storage.paths import data_folder

# A client that has a folder open may put another file there while it is being removed.
_ROUNDS = 20
_WRAPPED = ("ssh", "scp", "sftp")
# The names of the files that ssm-ssh makes in its data folder. A test compares them with the product's.
IDENTITIES, KNOWN_HOSTS = ("id_ed25519", "id_ed25519_2"), "known_hosts"


class Endpoints(NamedTuple):
    """The URLs of a lab; `services` has those of the services that can be made unreachable one by one."""

    api: str
    gateway: str
    services: Mapping[str, str]


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write the new file `path`, at once with `mode`; a file that is there is replaced."""
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def remove(folder: Path) -> None:
    """Remove the lab's folder, and the folder of root's instances outside it."""
    from ssm_ssh.lab.accounts.accounts import remove_machines_folder

    remove_machines_folder(folder / "instances")
    # A client that outlives the lab for a moment finds no home any more, instead of putting files into it meanwhile.
    doomed = folder.with_name(f".{folder.name}.removed")
    with contextlib.suppress(OSError):
        folder.rename(doomed)
    for _ in range(_ROUNDS):
        if not doomed.exists():
            break
        shutil.rmtree(doomed, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def write_files(
    folder: Path,
    state: LabState,
    environment: dict[str, str],
    endpoints: Endpoints,
    machines: dict[str, dict[str, Any]],
    *,
    system_path: str,
) -> dict[str, Any]:
    """Write every file of the folder, and return what the lab's owner is told.

    `environment` is that of everything in the lab, but for AWS's part; `machines` is what the instances process has
    reported, by instance; the wrapped programs are looked for in `system_path`.
    """
    people = [identity for identity in state.identities.values() if not identity.instance_id]
    instances = _instances(state, machines)
    online = {instance.instance_id for instance in state.instances.values() if instance.online}
    whole = {
        **environment,
        **aws_environment(
            folder,
            state.identity("admin"),
            region=state.region,
            api_url=endpoints.api,
            gateway_url=endpoints.gateway,
            service_urls=endpoints.services,
        ),
        **_first_instances(instances, online),
        "SSM_SSH_LAB_PASSWORD": state.password,
        "BROWSER": str(folder / "bin" / "lab-browser"),
    }
    write_profiles(folder, people, state.region)
    add_login_profiles(folder, state.region, state.account, state.start_url)
    write_private(folder / "env.sh", shell_lines(whole))
    host_keys = {instance["instance_id"]: instance["host_keys"] for instance in instances}
    ports = {instance["instance_id"]: instance["ssh_port"] for instance in instances}
    write_private(folder / "known_hosts", known_hosts(host_keys, ports))
    write_private(folder / "ssh_config", ssh_config(folder, data_folder()))
    write_wrappers(folder, system_path)
    agents = {instance.instance_id: _keys(instance.identity) for instance in state.instances.values()}
    write_private(folder / "agents.json", json.dumps(agents, indent=2))
    return {
        "region": state.region,
        "account": state.account,
        "api_url": endpoints.api,
        "gateway_url": endpoints.gateway,
        "environment": whole,
        "instances": instances,
        "identities": {identity.name: {**_keys(identity), "Arn": identity.arn} for identity in people},
        "agents": agents,
    }


def _instances(state: LabState, machines: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    described = []
    for instance in state.instances.values():
        machine = machines.get(instance.instance_id, {})
        described.append(
            {
                "instance_id": instance.instance_id,
                "name": instance.options.name,
                "platform": f"{instance.options.platform} {instance.options.platform_version}",
                "users": list(machine.get("users", instance.options.users)),
                "ssh_port": instance.options.ssh_port,
                "sshd": machine.get("sshd", ""),
                "hybrid": instance.hybrid,
                "host_keys": list(instance.host_keys),
                "homes": machine.get("homes", {}),
            }
        )
    return described


def _first_instances(instances: list[dict[str, Any]], online: set[str]) -> dict[str, str]:
    """Name one instance of each sort, so that a script in the lab needs to look for none."""
    out: dict[str, str] = {}
    for instance in instances:
        if instance["instance_id"] in online and instance["hybrid"]:
            out.setdefault("SSM_SSH_LAB_MANAGED", instance["instance_id"])
            out.setdefault("SSM_SSH_LAB_MANAGED_USER", instance["users"][0])
        elif instance["instance_id"] in online:
            out.setdefault("SSM_SSH_LAB_INSTANCE", instance["instance_id"])
            out.setdefault("SSM_SSH_LAB_USER", instance["users"][0])
    return out


def _keys(identity: Identity) -> dict[str, str]:
    return {"AccessKeyId": identity.access_key, "SecretAccessKey": identity.secret_key, "SessionToken": identity.token}


def write_profiles(folder: Path, people: Iterable[Identity], region: str) -> None:
    """Write `~/.aws` of the lab's home: one profile for each of `people`, under its name."""
    config, credentials = [f"[default]\nregion = {region}\n"], []
    for identity in people:
        config.append(f"[profile {identity.name}]\nregion = {region}\n")
        token = f"aws_session_token = {identity.token}\n" if identity.token else ""
        credentials.append(
            f"[{identity.name}]\naws_access_key_id = {identity.access_key}\n"
            f"aws_secret_access_key = {identity.secret_key}\n{token}"
        )
    write_private(folder / "home" / ".aws" / "config", "\n".join(config))
    write_private(folder / "home" / ".aws" / "credentials", "\n".join(credentials))


def add_login_profiles(folder: Path, region: str, account: str, start_url: str) -> None:
    """Add the profiles `sso`, `sso-inline` and `sign-in`, whose credentials come from a login of the lab's person."""
    instance = f"sso_start_url = {start_url}\nsso_region = {region}\n"
    role = f"sso_account_id = {account}\nsso_role_name = {ROLE}\n"
    path = folder / "home" / ".aws" / "config"
    text = f"""\
[sso-session lab]
{instance}sso_registration_scopes = sso:account:access

[profile sso]
region = {region}
sso_session = lab
{role}
[profile sso-inline]
region = {region}
{instance}{role}
[profile sign-in]
region = {region}
login_session = {person_arn(account)}
"""
    write_private(path, path.read_text(encoding="utf-8") + "\n" + text)


def ssh_config(folder: Path, data: Path) -> str:
    """Return the lab's ssh_config; `data` is the folder where ssm-ssh keeps its keys and its known_hosts.

    The configuration that `ssm-ssh setup` makes in the lab's home comes first, as it would for a user.
    """
    command = " ".join(f'"{part}"' for part in program())
    identities = "\n".join(f'    IdentityFile "{data / name}"' for name in IDENTITIES)
    return f"""\
# Made for this lab only. The wrappers in {folder / "bin"} pass it to ssh with -F.
Include "{folder / "home" / ".ssh" / "config"}"

Host i-* mi-*
    ProxyCommand {command} proxy '%h' '%p' '%r'

Host *
{identities}
    IdentitiesOnly yes
    IdentityAgent none
    StrictHostKeyChecking yes
    UserKnownHostsFile "{data / KNOWN_HOSTS}"
    GlobalKnownHostsFile /dev/null
    UpdateHostKeys no
"""


def write_wrappers(folder: Path, path: str) -> None:
    """Make LAB/bin: each program of OpenSSH's, taken from `path`, with the lab's configuration.

    ssh takes ~ from the password database, not from HOME, so only -F keeps it away from the user's own files.
    """
    # The lab's person at a browser, as BROWSER names it.
    line = f'exec {shlex.quote(sys.executable)} -I -m ssm_ssh.lab.login.browser "$@"'
    write_private(folder / "bin" / "lab-browser", f"#!/bin/sh\n{line}\n", 0o700)
    own = script()
    if own is not None:  # PATH may lead to another version first
        (folder / "bin" / "ssm-ssh").symlink_to(own)
    for name in _WRAPPED:
        program_path = shutil.which(name, path=path)
        if program_path is not None:
            line = f'exec {shlex.quote(program_path)} -F {shlex.quote(str(folder / "ssh_config"))} "$@"'
            write_private(folder / "bin" / name, f"#!/bin/sh\n{line}\n", 0o700)


def known_hosts(host_keys: Mapping[str, Iterable[str]], ports: Mapping[str, int]) -> str:
    """Return known_hosts lines for programs that do not go through ssm-ssh's own file.

    Under the id, and under `[id]:port` where sshd listens elsewhere than on 22.
    """
    lines = []
    for instance_id, keys in host_keys.items():
        port = ports.get(instance_id, 22)
        names = instance_id if port == 22 else f"{instance_id},[{instance_id}]:{port}"
        lines += [f"{names} {key}\n" for key in keys]
    return "".join(lines)
