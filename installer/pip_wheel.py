"""pip's own wheel, pinned by its hash, from the package index: for a Python that brings no pip.

The index is read as PEP 503 (HTML) and PEP 691 (JSON) define it.
"""

from __future__ import annotations

import hashlib
import html.parser
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from installer.faults import Fault, refused_by_proxy, unreachable, untrusted
from installer.pip_settings import Settings

_LIMIT = 20 << 20  # bytes of a page or wheel; pip is 1.8 MB
_SECONDS = 30
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


def fetch(pins: Path, folder: Path, settings: Settings) -> Path:
    """Write the wheel that `pins` (a requirements file) pins into `folder`, and return its path.

    Raises Fault when no source has it, or what came has another hash.
    """
    text = pins.read_text(encoding="utf-8")
    version = re.search(r"^pip==(\S+)", text, re.M)
    hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    if version is None or not hashes:
        raise Fault(f"{pins} pins no pip", "Get a fresh checkout")
    name = f"pip-{version[1]}-py3-none-any.whl"
    faults = []
    for source in (*settings.find_links, *settings.indexes):
        try:
            content = _from_index(source, name, settings) if source in settings.indexes else _from_folder(source, name)
        except Fault as error:
            faults.append((source in settings.indexes, error))
            continue
        if content is None:
            continue
        if hashlib.sha256(content).hexdigest() not in hashes:
            faults.append((True, Fault(f"{name} from {_shown(source)} does not match its pinned hash")))
            continue
        (folder / name).write_bytes(content)
        return folder / name
    for serious, fault in faults:
        if serious:
            raise fault
    raise Fault(f"the package index {settings.host} has no {name}", "Check the package index that pip is set to use")


def _from_folder(source: str, name: str) -> bytes | None:
    parts = urllib.parse.urlsplit(source)
    if parts.scheme not in {"", "file"}:
        return None
    file = Path(urllib.parse.unquote(parts.path), name)
    try:
        return file.read_bytes()
    except OSError:
        return None


def _from_index(index: str, name: str, settings: Settings) -> bytes | None:
    opener, index = _opener(index, settings)
    page = index.rstrip("/") + "/pip/"
    if page.startswith("file:"):
        page += "index.html"
    try:
        base, content = _get(opener, page)
        links = _links(base, content)
        return _get(opener, links[name])[1] if name in links else None
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.client.NOT_FOUND:
                return None
            raise Fault(f"the package index {_shown(index)} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if page.startswith("file:"):
            return None
        raise _fault(error, settings) from error


def _fault(error: Exception, settings: Settings) -> Fault:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return untrusted(settings.host)
    words = getattr(reason, "strerror", None) or str(reason)
    if match := re.search(r"Tunnel connection failed: (.*)", str(reason)):
        return refused_by_proxy(settings.proxy_shown(), match[1])
    return unreachable(settings.host, settings.proxy_shown(), words)


def _get(opener: urllib.request.OpenerDirector, url: str) -> tuple[str, bytes]:
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})  # noqa: S310  # pip takes every scheme, too
    with opener.open(request, timeout=_SECONDS) as answer:
        content = answer.read(_LIMIT + 1)
        if len(content) > _LIMIT:
            raise ValueError(f"more than {_LIMIT >> 20} MB")
        return answer.url, content


def _opener(index: str, settings: Settings) -> tuple[urllib.request.OpenerDirector, str]:
    """Return what opens URLs of `index`, and the URL without its credentials."""
    parts = urllib.parse.urlsplit(index)
    context = ssl.create_default_context(cafile=settings.cert or None)
    if {parts.hostname, parts.netloc.rpartition("@")[2]} & set(settings.trusted_hosts):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if settings.proxy:
        handlers.append(urllib.request.ProxyHandler({"http": settings.proxy, "https": settings.proxy}))
    if parts.username is not None:
        host = parts.netloc.rpartition("@")[2]
        index = urllib.parse.urlunsplit(parts._replace(netloc=host))
        known = urllib.request.HTTPPasswordMgrWithPriorAuth()
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        # For that host alone, and not for one that it redirects to.
        known.add_password(None, f"{parts.scheme}://{host}/", user, password, is_authenticated=True)
        handlers.append(urllib.request.HTTPBasicAuthHandler(known))
    return urllib.request.build_opener(*handlers), index


class _Anchors(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _links(base: str, content: bytes) -> dict[str, str]:
    """Return the URL of each file that a project's page lists, by the file's name."""
    text = content.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        urls = [str(file["url"]) for file in json.loads(text)["files"]]
    else:
        anchors = _Anchors()
        anchors.feed(text)
        urls = anchors.links
    whole = [urllib.parse.urldefrag(urllib.parse.urljoin(base, url)).url for url in urls]
    return {urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]): url for url in whole}


def _shown(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url
