"""The login pages of a lab, where its only person allows or denies a request.

Each page asks for the lab's password, which only its owner has, since other users of this machine can also reach the
port.
"""

from __future__ import annotations

import secrets
from html import escape
from urllib.parse import urlencode

from ssm_ssh.lab.wire.http import Response

_PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Lab</title><h1>{title}</h1>
<form method="post" action="{action}">{hidden}<p><label>Password of the lab
<input type="password" name="password" autofocus></label></p>
<p><button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></p></form>
"""
_TEXT = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Lab</title><p id="text">{text}</p>\n'


class Pages:
    """The pages; `base` is the lab's URL, known once the port is."""

    def __init__(self, password: str) -> None:
        self._password = password
        self.base = ""

    def is_person(self, fields: dict[str, str]) -> bool:
        """Return whether a form was filled in by the lab's person."""
        return secrets.compare_digest(fields.get("password", "").encode(), self._password.encode())

    def form(self, title: str, action: str, hidden: dict[str, str]) -> Response:
        """Return the page that asks the person."""
        inputs = "".join(
            f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in hidden.items()
        )
        return _html(200, _PAGE.format(title=escape(title), action=escape(action), hidden=inputs))

    def text(self, text: str, status: int = 200) -> Response:
        """Return a page with a sentence."""
        return _html(status, _TEXT.format(text=escape(text)))

    def redirect(self, uri: str, values: dict[str, str]) -> Response:
        """Send the browser on to `uri`."""
        return Response(302, [("Location", f"{uri}?{urlencode(values)}")], b"")


def _html(status: int, body: str) -> Response:
    return Response(
        status, [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")], body.encode()
    )
