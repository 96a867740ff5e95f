"""The files of a lab's folder: what a shell, ssh, git and the AWS CLI need to use it and nothing of the user's own."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ssm_ssh.installation import program
from ssm_ssh.lab.hidden_programs import VARIABLE
from ssm_ssh.lab.identity.identities import Identity, person_arn
from ssm_ssh.lab.login.identity_center import ROLE

# What a program may know of the user's own environment; nothing that names credentials, proxies or agents.
_KEPT = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "COLUMNS",
    VARIABLE,
)
# What in a user's shell would lead a client out of the lab.
_LEADS_OUT = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "AWS_LOGIN_CACHE_DIRECTORY",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "RSYNC_RSH",
)
_WRAPPED = ("ssh", "scp", "sftp")
_SERVICES = ("SSM", "EC2", "EC2_INSTANCE_CONNECT", "STS", "KMS")


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write the new file `path`, at once with `mode`; a file that is there is replaced."""
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def remove(folder: Path) -> None:
    """Remove the lab's folder, and what root's instances have beside it."""
    from ssm_ssh.lab.accounts.userland import remove_machines_folder

    remove_machines_folder(folder / "instances")
    shutil.rmtree(folder, ignore_errors=True)


def base_environment(folder: Path) -> dict[str, str]:
    """Return the environment of everything that runs in the lab, but for AWS's part; makes the folders it names."""
    home = folder / "home"
    places = {
        "HOME": home,
        "TMPDIR": folder / "tmp",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_RUNTIME_DIR": folder / "run",
    }
    for place in (home, home / ".local", home / ".ssh", home / ".aws", folder / "bin", *places.values()):
        place.mkdir(mode=0o700, exist_ok=True)
    path = os.environ.get("PATH") or os.defpath
    own = Path(sys.executable).parent
    # The AWS CLI of a virtual environment, and ssm-ssh itself, may live beside the interpreter only.
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        **{name: str(place) for name, place in places.items()},
        "PATH": os.pathsep.join([str(folder / "bin"), path, str(own)]),
        "SSM_SSH_LAB": str(folder),
    }


def aws_environment(
    folder: Path,
    identity: Identity,
    *,
    region: str,
    api_url: str,
    gateway_url: str,
    door_urls: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return AWS's part of the environment, for `identity`; `door_urls` of the services that have one of their own."""
    out = {
        "AWS_ACCESS_KEY_ID": identity.access_key,
        "AWS_SECRET_ACCESS_KEY": identity.secret_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CA_BUNDLE": str(folder / "ca.pem"),
        "AWS_CONFIG_FILE": str(folder / "home" / ".aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "home" / ".aws" / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "AWS_ENDPOINT_URL": api_url,  # no service, known to the lab or not, is asked anywhere else
        **{f"AWS_ENDPOINT_URL_{name}": api_url for name in _SERVICES},
        **{f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}": url for name, url in (door_urls or {}).items()},
        "AWS_ENDPOINT_URL_SSMMESSAGES": gateway_url,
    }
    return {**out, "AWS_SESSION_TOKEN": identity.token} if identity.token else out


def shell_lines(environment: Mapping[str, str]) -> str:
    """Return lines for a POSIX shell that make its environment lead into the lab, and nowhere else."""
    lines = [f"unset {' '.join(_LEADS_OUT)}"]
    lines += [
        f"export {name}={shlex.quote(value)}" for name, value in environment.items() if name not in (*_KEPT, VARIABLE)
    ]
    return "\n".join(lines) + "\n"


def aws_files(folder: Path, people: Iterable[Identity], region: str) -> None:
    """Write `~/.aws` of the lab's home: one profile for each of `people`, under its name."""
    config, credentials = [f"[default]\nregion = {region}\n"], []
    for one in people:
        config.append(f"[profile {one.name}]\nregion = {region}\n")
        token = f"aws_session_token = {one.token}\n" if one.token else ""
        credentials.append(
            f"[{one.name}]\naws_access_key_id = {one.access_key}\naws_secret_access_key = {one.secret_key}\n{token}"
        )
    write_private(folder / "home" / ".aws" / "config", "\n".join(config))
    write_private(folder / "home" / ".aws" / "credentials", "\n".join(credentials))


def add_logins(folder: Path, region: str, account: str, start_url: str) -> None:
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


def ssh_config(folder: Path, identity_files: Iterable[Path], known_hosts: Path) -> str:
    """Return the lab's ssh_config; `identity_files` and `known_hosts` are those that ssm-ssh itself makes.

    What `ssm-ssh` has set up in the lab's home comes first, as it would for a user.
    """
    command = " ".join(f'"{part}"' for part in program())
    identities = "\n".join(f'    IdentityFile "{path}"' for path in identity_files)
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
    UserKnownHostsFile "{known_hosts}"
    GlobalKnownHostsFile /dev/null
    UpdateHostKeys no
"""


def wrappers(folder: Path, path: str) -> None:
    """Make LAB/bin: each program of OpenSSH's, taken from `path`, with the lab's configuration.

    ssh takes ~ from the password database, not from HOME: nothing else keeps it away from the user's own files.
    """
    # The lab's person at a browser, as BROWSER names it.
    line = f'exec {shlex.quote(sys.executable)} -I -m ssm_ssh.lab.login.browser "$@"'
    write_private(folder / "bin" / "lab-browser", f"#!/bin/sh\n{line}\n", 0o700)
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
