"""The lab's person at a browser, for tests and scripts: opens a page of the lab's and allows what it asks.

In a lab, `BROWSER` names this program, so `ssm-ssh login` needs no person there.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import urllib.request
from html import unescape
from urllib.parse import urlencode, urljoin, urlsplit

_SECONDS = 30.0


def visit(url: str, *, password: str, ca_file: str, decision: str = "allow") -> str:
    """Open `url`, fill in its form, follow where that leads; return the text of the last page.

    Raises OSError (of urllib's kinds) for what a server refuses.
    """
    context = ssl.create_default_context(cafile=ca_file)
    # Not through a proxy: both ends are on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    if urlsplit(url).scheme not in ("http", "https"):
        raise OSError("not a page")
    with opener.open(url, timeout=_SECONDS) as answer:
        page: str = answer.read().decode("utf-8")
    action = re.search(r'action="([^"]*)"', page)
    if action is None:
        return page
    fields = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page))
    form = {unescape(key): unescape(value) for key, value in fields.items()}
    body = urlencode({**form, "password": password, "decision": decision}).encode()
    with opener.open(urljoin(url, unescape(action[1])), body, timeout=_SECONDS) as answer:
        text: str = answer.read().decode("utf-8")
    shown = re.search(r'<p id="text">(.*?)</p>', text, re.DOTALL)
    return unescape(shown[1]) if shown else text


def main() -> None:
    """Visit the URL in the first argument, in the lab that the environment leads into."""
    visit(sys.argv[1], password=os.environ["SSM_SSH_LAB_PASSWORD"], ca_file=os.environ["AWS_CA_BUNDLE"])


if __name__ == "__main__":
    main()
