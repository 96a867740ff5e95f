"""An AWS access key with its expiry and its origin."""

from __future__ import annotations

from ssm_ssh.errors import CredentialsError


class Credentials:
    """An access key that is valid until `expires` (seconds since the epoch; None: unknown).

    `source` is its origin in words. The repr shows only that.
    """

    __slots__ = ("access_key", "expires", "secret_key", "source", "token")

    def __init__(
        self, access_key: str, secret_key: str, token: str | None = None, *, expires: float | None = None, source: str
    ) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token
        self.expires = expires
        self.source = source

    def __repr__(self) -> str:
        return f"Credentials(source={self.source!r})"

    def same_key(self, other: Credentials) -> bool:
        """Return whether `other` makes the same signatures."""
        mine = (self.access_key, self.secret_key, self.token)
        return mine == (other.access_key, other.secret_key, other.token)


def checked_credentials(
    access_key: str, secret_key: str, token: str | None, *, expires: float | None = None, source: str
) -> Credentials:
    """Return Credentials. Raises CredentialsError for characters that no key has, such as line breaks."""
    for value in (access_key, secret_key, token or "x"):
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise CredentialsError(
                f"a key from {source} contains a space, a line break or another character that no key has",
                "Set it again: it was probably copied with some text around it",
            )
    return Credentials(access_key, secret_key, token, expires=expires, source=source)
