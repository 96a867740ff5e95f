"""All errors that a user can meet. Each says what was wrong, with what, and what to do next.

SsmSshError
|-- UsageError            an argument, a setting or a file of the user cannot be used
|-- StateError            a folder, file or lock of ssm-ssh cannot be used safely
|-- CredentialsError      AWS credentials are missing, expired or unusable
|   `-- LoginRequired        a person has to renew the login (SSO, sign-in) that they come from
|-- AwsError              AWS refused a call (code, operation, status)
|   |-- AccessDenied
|   |-- TargetNotConnected   the instance does not exist here, or its agent is not online
|   |   `-- TargetMissing       EC2 says that it does not exist here or does not run
|   |-- DocumentMissing
|   |-- Throttled
|   `-- SessionGone          the session cannot be resumed
|-- NetworkError          a name, a route, a connection or a deadline failed
|   |-- Disconnected         an open connection broke or was closed (code: that of the WebSocket close)
|   |-- ProxyRefused         the HTTPS proxy refused the connection
|   |-- NotTrusted           the TLS certificate did not verify
|   `-- UpgradeRefused       the gateway refused the WebSocket upgrade (status)
|-- HostKeyRefused        the server's host key cannot be trusted or verified
|   `-- HostKeyChanged       another key is known, and nothing confirms the change
|-- ProtocolError         the other side broke the protocol (data channel, WebSocket, StreamUrl)
|   `-- AgentTooOld          the agent's version cannot do what the session needs
|-- EncryptionRefused     the KMS key that a session asks for may not be used
|-- SessionEnded          the other side ended the session; the message has its reason
|-- KeyRefused            the instance did not accept the public key (code)
`-- CommandFailed         a command on the instance never ran, or was cut off
    `-- CommandTimedOut      its end was not reported in time: it may still run
"""

from __future__ import annotations

from ssm_ssh.text import printable


class SsmSshError(Exception):
    """Root of the tree: `message` says what was wrong, `hint` what to do next; both may hold outside text."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def sentence(self, limit: int = 400) -> str:
        """Message and hint as one printable line of at most `limit` characters."""
        hint = printable(self.hint, limit)
        # The limit cuts the message, never the hint.
        message = printable(self.message.rstrip(". "), max(limit // 3, limit - len(hint) - 2))
        end = " " if message.endswith("...") else ". "
        return printable(f"{message}{end}{hint}" if hint else message, limit)


class UsageError(SsmSshError):
    """An argument, a setting or a file of the user cannot be used."""


class StateError(SsmSshError):
    """A folder, file or lock of ssm-ssh cannot be used safely."""


class CredentialsError(SsmSshError):
    """AWS credentials are missing, expired or unusable."""


class LoginRequired(CredentialsError):
    """A person has to renew the login (SSO, sign-in) that the credentials come from."""


class AwsError(SsmSshError):
    """AWS refused `operation` with error `code` and HTTP `status` (0: unknown)."""

    def __init__(self, message: str, hint: str = "", *, code: str = "", operation: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code
        self.operation = operation
        self.status = status


class AccessDenied(AwsError):
    """The caller may not do this; the message names action and resource if AWS did."""


class TargetNotConnected(AwsError):
    """The instance does not exist here, or its agent is not online."""


class TargetMissing(TargetNotConnected):
    """EC2 says that the instance does not exist here or does not run."""


class DocumentMissing(AwsError):
    """The session document does not exist in this region and account."""


class Throttled(AwsError):
    """AWS asked to slow down, after the retries too."""


class SessionGone(AwsError):
    """The session timed out or was terminated: it cannot be resumed."""


class NetworkError(SsmSshError):
    """A name, a route, a connection or a deadline failed; `unsent`: before the request was sent."""

    unsent = False


class Disconnected(NetworkError):
    """An open connection broke, or the other side closed it with WebSocket close `code` (0: no close frame)."""

    def __init__(self, message: str, hint: str = "", *, code: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code


class ProxyRefused(NetworkError):
    """The HTTPS proxy refused the connection."""


class NotTrusted(NetworkError):
    """A TLS certificate did not verify."""


class UpgradeRefused(NetworkError):
    """The gateway refused the WebSocket upgrade with HTTP `status`."""

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class HostKeyRefused(SsmSshError):
    """The server's host key cannot be trusted or verified."""


class HostKeyChanged(HostKeyRefused):
    """The host key is not the known one: ssh is shown the key so that it can warn, but the connection ends there."""


class ProtocolError(SsmSshError):
    """The other side broke the protocol."""


class AgentTooOld(ProtocolError):
    """The agent's version cannot do what the session needs; nothing has run."""


class EncryptionRefused(SsmSshError):
    """The KMS key that a session asks for may not be used."""


class SessionEnded(SsmSshError):
    """The other side ended the session; the message has its reason."""


class KeyRefused(SsmSshError):
    """The instance did not accept the public key; `code` says why in one word (no-user, no-sshd, ...)."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class CommandFailed(SsmSshError):
    """A command on the instance never ran, or was cut off."""


class CommandTimedOut(CommandFailed):
    """The end of a command on the instance was not reported in time: it may still run."""
