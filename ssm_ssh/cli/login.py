"""`ssm-ssh login`: renew the login that a profile's credentials come from, for every AWS tool on this computer."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.errors import CredentialsError, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.aws.config.login_source import Login
    from ssm_ssh.aws.config.settings import AwsSettings

# Seconds for a person in the browser; the codes of AWS live as long.
_PATIENCE = 600.0
_DESCRIPTION = """\
Renew, in a browser, the login behind the credentials of PROFILE: IAM Identity Center (SSO) or the console's sign-in
(login_session). For a profile that assumes a role, that is the login of its source profile. Logins are stored in the
caches of the AWS CLI and the SDKs (~/.aws/sso/cache, ~/.aws/login/cache), so all of them share it.

  ssm-ssh login                      the profile that AWS_PROFILE names, or default
  ssm-ssh login prod
  ssm-ssh login --sso-session corp   a session that several profiles use, by its name
  ssm-ssh login prod --no-browser    the browser is on another computer: open a URL there, and confirm a code
"""

_EPILOG = """\
The URL is always printed, on stderr. Without --no-browser, the browser must be on this computer, because it sends its
answer to 127.0.0.1. Over ssh, `ssh -L PORT:127.0.0.1:PORT` with `--port PORT` forwards the answer.

exit status: 0 logged in; 1 not logged in; 2 wrong arguments.
"""


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.aws.config.login_source import SSO

    if options.profile and options.sso_session:
        raise UsageError("both a profile and --sso-session are given", "Name one of them")
    if not 0 <= options.port <= 65535:
        raise UsageError(f"{options.port} is not a port", "Use a number from 1 to 65535")
    login = _login(options, SharedFiles(os.environ))
    settings = _settings(login)
    debug = _debug if options.debug else None
    if login.kind == SSO:
        end, file = _sso(login, settings, options, debug)
        who = login.start_url
    else:
        end, file = _sign_in(login, settings, options, debug)
        who = login.session
    _debug(f"kept in {file}") if debug else None
    output.line(f"Logged in to {printable(who)} until {end.replace('T', ' ').replace('Z', ' UTC')}")
    return 0


def _parser() -> Arguments:
    parser = command_parser("login", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("profile", metavar="PROFILE", nargs="?", help="AWS profile (AWS_PROFILE, or default)")
    parser.add_argument("--sso-session", metavar="NAME", help="an sso-session section of ~/.aws/config")
    parser.add_argument("--no-browser", action="store_true", help="show a code for a browser on another computer")
    parser.add_argument("--port", type=int, default=0, metavar="PORT", help="port for the browser's answer (any)")
    parser.add_argument(
        "--new-registration", action="store_true", help="register this computer again with the SSO session"
    )
    return parser


# --- which login ------------------------------------------------------------------------------------------------------


def _login(options: argparse.Namespace, files: SharedFiles) -> Login:
    from ssm_ssh.aws.config.login_source import login_of, profile_with_login, sso_session

    if options.sso_session:
        if options.sso_session not in files.sso_sessions:
            raise UsageError(
                f"there is no section [sso-session {options.sso_session}] in {files.config_path}",
                _suggest(options.sso_session, files.sso_sessions, "sso-session"),
            )
        return sso_session(files, options.sso_session, "")
    profile = options.profile or os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default"
    if profile not in files.profiles:
        with_login = [name for name in files.profiles if profile_with_login(files, name)]
        raise UsageError(
            f"profile '{profile}' is not in {files.config_path} or {files.credentials_path}",
            _suggest(profile, with_login or files.profiles, "profile"),
        )
    login = login_of(files, profile)
    if login is None:
        raise UsageError(
            f"profile '{profile}' has no login to renew: it has neither SSO settings nor login_session",
            "Give it sso_session, or choose another profile",
        )
    return login


def _suggest(name: str, names: Iterable[str], kind: str) -> str:
    from ssm_ssh.suggest import hint

    none = f"No {kind} is configured: add [profile NAME] with sso_session to ~/.aws/config, and [sso-session NAME]"
    return hint(name, sorted(names), "There are") or none


def _settings(login: Login) -> AwsSettings:
    from ssm_ssh.aws.config.settings import load

    # The region of an SSO login is that of its instance; a sign-in is where the profile is.
    region = login.region if login.start_url else None
    return load(profile=login.profile or None, region=region, fallback_region="us-east-1")


# --- the ways to log in -----------------------------------------------------------------------------------------------


def _sso(
    login: Login, settings: AwsSettings, options: argparse.Namespace, debug: Callable[[str], None] | None
) -> tuple[str, Path]:
    from ssm_ssh.aws.login.callback import Callback
    from ssm_ssh.aws.login.oauth import sso_authorize_url
    from ssm_ssh.aws.login.sso_oidc import SsoOidc

    service = SsoOidc(settings, login, clock=time.time, debug=debug)
    if options.no_browser:
        service.register(with_code=False, again=options.new_registration)
        authorization = service.start_device()
        output.note(f"Open this URL in a browser on any computer:\n\n  {authorization.url}\n")
        output.note(f"and enter the code\n\n  {authorization.user_code}\n")
        output.note(f"or open the URL that has it:\n\n  {authorization.complete_url}\n")
        token = service.poll_device(authorization, time.sleep)
    else:
        with Callback(options.port) as callback:
            service.register(with_code=True, again=options.new_registration)
            secrets = _secrets()
            _open(
                sso_authorize_url(
                    service.base,
                    client_id=service.client_id,
                    redirect_uri=callback.uri,
                    scopes=service.scopes,
                    secrets=secrets,
                )
            )
            code = callback.wait(secrets, _PATIENCE)
        token = service.redeem(code, verifier=secrets.verifier, redirect_uri=callback.uri)
    return token["expiresAt"], service.keep(token)


def _sign_in(
    login: Login, settings: AwsSettings, options: argparse.Namespace, debug: Callable[[str], None] | None
) -> tuple[str, Path]:
    from ssm_ssh.aws.login.callback import Callback
    from ssm_ssh.aws.login.oauth import code_of_pasted
    from ssm_ssh.aws.login.signin import SignIn

    service = SignIn(settings, login, remote=options.no_browser, clock=time.time, debug=debug)
    secrets = _secrets()
    if options.no_browser:
        redirect_uri = service.confirmation_uri
        output.note(f"Open this URL in a browser on any computer:\n\n  {service.url(redirect_uri, secrets)}\n")
        pasted = _line("Enter the authorization code that it shows: ", _PATIENCE)
        code = code_of_pasted(pasted, secrets)
        if code is None:
            raise CredentialsError(
                "the text entered is not the code of this login", "Log in again, and paste the complete code"
            )
    else:
        with Callback(options.port) as callback:
            redirect_uri = callback.uri
            _open(service.url(redirect_uri, secrets))
            code = callback.wait(secrets, _PATIENCE)
    document = service.redeem(code, verifier=secrets.verifier, redirect_uri=redirect_uri)
    return document["accessToken"]["expiresAt"], service.keep(document)


def _secrets() -> Any:  # noqa: ANN401 - a Challenge, whose module is loaded late
    from ssm_ssh.aws.login.oauth import challenge

    return challenge(os.urandom(48))


# --- the person -------------------------------------------------------------------------------------------------------


def _open(url: str) -> None:
    """Show the URL, and open it where there is a browser."""
    opened = _open_browser(url)
    output.note(
        f"{'Continue in the browser. If it does not open, open' if opened else 'No browser opens here. Open'} this URL:"
    )
    output.note(f"\n  {url}\n")
    output.note("If the browser is on another computer, stop with Ctrl-C and use --no-browser")


def _open_browser(url: str) -> bool:
    import contextlib
    import subprocess
    import threading
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    name = os.path.basename(getattr(browser, "name", "") or "")  # noqa: PTH119
    if name in _IN_TERMINAL and not os.environ.get("BROWSER"):
        return False  # it would take the terminal over, and AWS's pages do not work in it
    # A process of its own: what a browser writes is not ours to show, and it may stay as long as it likes.
    command = [sys.executable, "-I", "-m", "webbrowser", url]
    null = subprocess.DEVNULL

    def start() -> None:
        with contextlib.suppress(OSError):
            subprocess.run(command, stdin=null, stdout=null, stderr=null, start_new_session=True, check=False)

    threading.Thread(target=start, daemon=True).start()
    return True


_IN_TERMINAL = frozenset({"www-browser", "links", "links2", "elinks", "lynx", "w3m"})


def _line(prompt: str, patience: float) -> str:
    import select

    output.note(prompt, end="")
    typed = b""
    until = time.monotonic() + patience
    while not typed.endswith(b"\n"):
        if not select.select([0], [], [], max(0.0, until - time.monotonic()))[0]:
            raise CredentialsError("no code was entered in time", "Log in again")
        got = os.read(0, 4096)
        if not got or len(typed) > 65536:
            break
        typed += got
    return typed.decode("ascii", "replace").strip()


def _debug(text: str) -> None:
    output.error(text)
