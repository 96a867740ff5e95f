"""The environment of everything that runs in a lab: it leads to the lab's AWS and to nothing of the user's own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from ssm_ssh.lab.hidden_programs import VARIABLE
from ssm_ssh.lab.identity.identities import Identity

# The variables of the user's environment that programs in a lab see: none names credentials, proxies or agents.
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
# Variables of a user's shell that would lead a client out of the lab.
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
_SERVICES = ("SSM", "EC2", "EC2_INSTANCE_CONNECT", "STS", "KMS")


def base_environment(folder: Path) -> dict[str, str]:
    """Return the environment of everything in the lab, except AWS's part, and make the folders that it names."""
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
    # The AWS CLI of a virtual environment, and ssm-ssh itself, may exist only in the interpreter's folder.
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
    service_urls: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return AWS's part of the environment, for `identity`.

    `service_urls` holds the URLs of the services that have an endpoint of their own.
    """
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
        **{f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}": url for name, url in (service_urls or {}).items()},
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
