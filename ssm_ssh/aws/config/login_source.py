"""The login that a profile's credentials come from: an SSO session, a sign-in to the console, or none.

A role is assumed with the credentials of its source profile, so the login belongs to the last profile of the chain.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html
"""

from __future__ import annotations

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.values import text_member

if TYPE_CHECKING:
    from ssm_ssh.aws.config.ini import SharedFiles, Values
    from ssm_ssh.aws.config.settings import AwsSettings

SSO, SIGN_IN = "sso", "sign-in"
_NEW_KEYS = "Set new keys in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or unset all three"
_SSO_SETTINGS = ("sso_session", "sso_start_url", "sso_account_id", "sso_role_name")


class Login(NamedTuple):
    """A login that a person renews with `ssm-ssh login PROFILE`, where PROFILE is `profile`."""

    kind: str
    """SSO or SIGN_IN."""
    profile: str
    session: str = ""
    """The name of the sso-session section (empty: the profile has the settings), or the ARN of login_session."""
    start_url: str = ""
    region: str = ""
    """The region of the SSO instance or the sign-in service; empty if the profile does not set it."""
    scopes: tuple[str, ...] = ()


def profile_with_login(files: SharedFiles, profile: str) -> str | None:
    """Return the profile whose login `profile` needs: itself or the end of its chain of source profiles; None: none.

    Raises nothing: `login_of` reports incomplete settings of the login.
    """
    profile = end_of_chain(files, profile)
    values = files.profiles.get(profile, {})
    if "role_arn" in values and "web_identity_token_file" not in values:
        return None
    is_login = any(name in values for name in _SSO_SETTINGS) or _signs_in(files, profile)
    return profile if is_login else None


def end_of_chain(files: SharedFiles, profile: str) -> str:
    """Return the profile whose credentials a chain of roles starts with: `profile` itself if it assumes no role."""
    seen: set[str] = set()
    while profile not in seen:
        seen.add(profile)
        values = files.profiles.get(profile, {})
        if "role_arn" not in values or "web_identity_token_file" in values:
            break
        # A profile that is its own source assumes its role with static keys.
        profile = str(values.get("source_profile") or profile)
    return profile


def login_of(files: SharedFiles, profile: str) -> Login | None:
    """Return the login that the credentials of `profile` come from, None if they come from no login.

    Raises UsageError if the settings of that login are incomplete.
    """
    name = profile_with_login(files, profile)
    if name is None:
        return None
    values = files.profiles[name]
    if any(setting in values for setting in _SSO_SETTINGS):
        session = _text(values, "sso_session")
        return sso_session(files, session, name) if session else _inline(files, values, name)
    return Login(SIGN_IN, name, session=_text(values, "login_session"), region=_text(values, "region"))


def sso_session(files: SharedFiles, session: str, profile: str) -> Login:
    """Return the login of the section `[sso-session SESSION]`. Raises UsageError if it is missing or incomplete."""
    values = files.sso_sessions.get(session)
    if values is None:
        raise UsageError(
            f"the section [sso-session {session}] is missing in {files.config_path}",
            "Add it with sso_start_url and sso_region",
        )
    scopes = tuple(filter(None, (scope.strip() for scope in _text(values, "sso_registration_scopes").split(","))))
    return _complete(
        Login(SSO, profile, session, _text(values, "sso_start_url"), _text(values, "sso_region"), scopes),
        f"[sso-session {session}] in {files.config_path}",
    )


def login_command(files: SharedFiles, profile: str) -> str:
    """Return the command that renews the login of `profile`, empty if it has no login."""
    name = profile_with_login(files, profile)
    if name is None:
        return ""
    import shlex

    if name == "default":
        return "ssm-ssh login"
    return f"ssm-ssh login {'-- ' if name.startswith('-') else ''}{shlex.quote(name)}"


def renewal_hint(settings: AwsSettings) -> str:
    """Return what to do about expired credentials of `settings`."""
    if settings.keys_of_environment:
        return _NEW_KEYS
    command = login_command(settings.files, settings.profile_name)
    if command:
        return f"Run: {command}"
    source = end_of_chain(settings.files, settings.profile_name)
    if settings.files.profiles.get(source, {}).get("credential_source") == "Environment":
        return _NEW_KEYS
    return f"Renew the credentials of profile '{source}'"


def _signs_in(files: SharedFiles, profile: str) -> bool:
    # The AWS SDKs read the credentials file first.
    return "login_session" in files.profiles.get(profile, {}) and "aws_access_key_id" not in files.credentials.get(
        profile, {}
    )


def _inline(files: SharedFiles, values: Values, profile: str) -> Login:
    login = Login(SSO, profile, "", _text(values, "sso_start_url"), _text(values, "sso_region"))
    return _complete(login, f"profile '{profile}' in {files.config_path}")


def _complete(login: Login, where: str) -> Login:
    missing = [name for name, value in (("sso_start_url", login.start_url), ("sso_region", login.region)) if not value]
    if missing:
        raise UsageError(f"{where} has no {' and no '.join(missing)}", "Add it there")
    return login


def _text(values: Values, name: str) -> str:
    return text_member(values, name).strip()
