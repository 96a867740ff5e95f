"""How a connection behaves: one object, built once from flags, environment and settings file."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.settings.schema import Settings


class ConnectionOptions:
    """The settings of one connection by their types. The defaults are those of `settings.schema.SETTINGS`."""

    __slots__ = (
        "document",
        "key",
        "key_age",
        "key_type",
        "kms_key",
        "push",
        "push_after_denied",
        "push_document",
        "push_lifetime",
        "require_host_keys",
        "resume_limit",
        "start",
    )

    def __init__(
        self,
        *,
        document: str = "AWS-StartSSHSession",
        push: str = "auto",
        push_document: str = "AWS-RunShellScript",
        push_after_denied: bool = False,
        push_lifetime: int = 60,
        key: str = "",
        key_age: float = 86400.0,
        key_type: str = "ed25519",
        require_host_keys: bool = False,
        resume_limit: float = 900.0,
        kms_key: str = "",
        start: str = "ask",
    ) -> None:
        """`push_lifetime`, `key_age` and `resume_limit` are in seconds; `key`: "" for a key pair of ssm-ssh's own.

        `key_type`: the type of that pair, rsa or ed25519, as ssh was told by the block that started this connection.

        `start`: "" does not ask EC2 about an instance that is not connected.
        """
        self.document = document
        self.push = push
        self.push_document = push_document
        self.push_after_denied = push_after_denied
        self.push_lifetime = push_lifetime
        self.key = key
        self.key_age = key_age
        self.key_type = key_type
        self.require_host_keys = require_host_keys
        self.resume_limit = resume_limit
        self.kms_key = kms_key
        self.start = start


def connection_options(settings: Settings, key_type: str = "ed25519") -> ConnectionOptions:
    """Return what `settings` say about a connection."""
    return ConnectionOptions(
        document=settings.text("document"),
        push=settings.text("push"),
        push_document=settings.text("push_document"),
        push_after_denied=settings.text("push_after_denied") == "yes",
        push_lifetime=int(settings.seconds("push_lifetime")),
        key=settings.text("key"),
        key_age=settings.seconds("key_age"),
        key_type=key_type,
        kms_key=settings.text("kms_key"),
        require_host_keys=settings.text("host_keys") == "require",
        resume_limit=settings.seconds("resume_limit"),
        start=settings.text("start"),
    )
