"""An AWS access key as it is handed about: what signs, until when, and where it is from."""

from __future__ import annotations

from ssm_ssh.errors import CredentialsError


class Credentials:
    """An access key, and until when it is good (seconds since the epoch, None: no end known).

    `source` says in words where it is from. The repr shows that and nothing else.
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
        """Return whether `other` would sign in the same way."""
        mine = (self.access_key, self.secret_key, self.token)
        return mine == (other.access_key, other.secret_key, other.token)


def usable(
    access_key: str, secret_key: str, token: str | None, *, expires: float | None = None, source: str
) -> Credentials:
    """Return the Credentials, unless they hold what no key holds and what no header may: line breaks, say."""
    for value in (access_key, secret_key, token or "x"):
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise CredentialsError(
                f"a key from {source} holds a space, a line break or a character that no key has",
                "It was probably copied with something around it; set it again",
            )
    return Credentials(access_key, secret_key, token, expires=expires, source=source)
