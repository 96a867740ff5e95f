"""Every error that a user can meet. Each says what was wrong, with what, and what to do next.

SsmSshError
|-- UsageError            an argument, a setting or a file of the user's is not usable
|-- StateError            a folder, file or lock of ours cannot be used safely
|-- CredentialsError      AWS credentials are missing, expired or unusable
|   `-- LoginRequired        they come from a login (SSO, sign-in) that a person has to renew
|-- AwsError              AWS answered a call with an error (code, operation, status)
|   |-- AccessDenied
|   |-- TargetNotConnected   the instance is not there, or not online in Systems Manager
|   |   `-- TargetMissing       EC2 itself says that it is not there, or not running
|   |-- DocumentMissing
|   |-- Throttled
|   `-- SessionGone          the session cannot be resumed
|-- NetworkError          a name, a route, a connection or a deadline failed
|   |-- Disconnected         an open connection broke or was closed (code: the WebSocket close code, if one came)
|   |-- ProxyRefused         the HTTPS proxy said no
|   |-- NotTrusted           the TLS certificate did not verify
|   `-- UpgradeRefused       the gateway answered the WebSocket upgrade with an HTTP error
|-- HostKeyRefused        the server's host key is not to be trusted, or could not be verified
|   `-- HostKeyChanged       another one is known, and nothing confirms the change
|-- ProtocolError         the other side broke the protocol (data channel, WebSocket, StreamUrl)
|-- SessionEnded          the session was ended by the other side, with the reason it gave
|-- KeyRefused            the instance itself did not take the public key
`-- CommandFailed         a command on the instance never ran, or was cut off
    `-- CommandTimedOut      it was not heard of in time: it may run yet
"""

from __future__ import annotations

from ssm_ssh.text import printable


class SsmSshError(Exception):
    """Root of the tree: `message` says what was wrong, `hint` what to do next (either may hold outside text)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def sentence(self, limit: int = 400) -> str:
        """Message and hint as one printable line of at most `limit` characters."""
        hint = printable(self.hint, limit)
        # What to do must not be what is cut off.
        message = printable(self.message.rstrip(". "), max(limit // 3, limit - len(hint) - 2))
        end = " " if message.endswith("...") else ". "
        return printable(f"{message}{end}{hint}" if hint else message, limit)


class UsageError(SsmSshError):
    """An argument, a setting or a file of the user's is not usable."""


class StateError(SsmSshError):
    """A folder, file or lock of ours cannot be used safely."""


class CredentialsError(SsmSshError):
    """AWS credentials are missing, expired or unusable."""


class LoginRequired(CredentialsError):
    """The credentials come from a login (SSO, sign-in) that a person has to renew."""


class AwsError(SsmSshError):
    """AWS answered `operation` with error `code` and HTTP `status` (0: unknown)."""

    def __init__(self, message: str, hint: str = "", *, code: str = "", operation: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code
        self.operation = operation
        self.status = status


class AccessDenied(AwsError):
    """The caller may not do this; the message names the action and the resource where AWS told them."""


class TargetNotConnected(AwsError):
    """The instance does not exist here, or its agent is not online."""


class TargetMissing(TargetNotConnected):
    """EC2 says that there is no such instance here, or that it does not run."""


class DocumentMissing(AwsError):
    """The session document does not exist in this region and account."""


class Throttled(AwsError):
    """AWS asked to slow down, and still did after the retries."""


class SessionGone(AwsError):
    """The session timed out or was terminated: it cannot be resumed."""


class NetworkError(SsmSshError):
    """A name, a route, a connection or a deadline failed; `unsent` where that was before a request was under way."""

    unsent = False


class Disconnected(NetworkError):
    """An open connection broke, or the other side closed it, with WebSocket close `code` (0: without a close frame)."""

    def __init__(self, message: str, hint: str = "", *, code: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code


class ProxyRefused(NetworkError):
    """The HTTPS proxy refused the connection."""


class NotTrusted(NetworkError):
    """A TLS certificate did not verify."""


class UpgradeRefused(NetworkError):
    """The gateway answered the WebSocket upgrade with HTTP `status`."""

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class HostKeyRefused(SsmSshError):
    """The server's host key is not to be trusted, or could not be verified."""


class HostKeyChanged(HostKeyRefused):
    """Another host key than the one known: ssh is to warn of it, and to get no further whatever it makes of it."""


class ProtocolError(SsmSshError):
    """The other side broke the protocol."""


class SessionEnded(SsmSshError):
    """The session was ended by the other side; the message holds the reason it gave."""


class KeyRefused(SsmSshError):
    """The instance itself did not take the public key; `code` says why in one word (no-user, no-sshd, ...)."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class CommandFailed(SsmSshError):
    """A command on the instance never ran, or was cut off."""


class CommandTimedOut(CommandFailed):
    """A command on the instance was not heard of in time: it may run yet."""
