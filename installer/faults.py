"""What stopped an installation, in one line: read off what pip, uv and venv print."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

SPACE = "No space left on device|Disk quota exceeded"
CERTIFICATE = "CERTIFICATE_VERIFY_FAILED|certificate verify failed|invalid peer certificate|CA certificate bundle"
# pip keeps trying after these, so that they count only when nothing more definite follows.
NETWORK = (
    "Connection refused|Connection reset|Network is unreachable|No route to host|timed out|ProxyError|"
    "Tunnel connection failed|tunnel error|NameResolutionError|Name or service not known|name resolution|"
    "nodename nor servname|dns error|NewConnectionError|ConnectTimeout|ConnectionError|Remote end closed|EOF occurred"
)
_PROXY_ANSWER = re.compile(r"Tunnel connection failed: (\d{3}[\w ]*)")
_HTTP_ERROR = re.compile(r"HTTP error (\d{3})|status code: (\d{3})|\b(40[137]|5\d\d) (?:Client|Server) Error")
_REASON = re.compile(NETWORK)


class Fault(Exception):
    """An installation that cannot go on: what is wrong, and one thing to do about it."""

    def __init__(self, sentence: str, advice: str = "") -> None:
        super().__init__(sentence)
        self.sentence, self.advice = sentence, advice

    def line(self) -> str:
        """Return both as one printable line."""
        text = f"{self.sentence}. {self.advice}" if self.advice else self.sentence
        return "".join(c if c.isprintable() else " " for c in text)


def explain(output: str, what: str, *, root: Path, host: str, proxy: str) -> Fault:
    """Return why a program that was to do `what` and printed `output` has failed.

    `root`: the folder it wrote to. `host`: the package index. `proxy`: host and port of the proxy on the way there, "".
    """
    if re.search(SPACE, output):
        return no_space(root)
    if match := re.search(r"^ {4}(\S+) from .*\n(?:.*\n)?\s+Expected sha256|Hash mismatch for `([^`]+)", output, re.M):
        name = match[1] or match[2]
        return Fault(f"{name} from {host} does not match its pinned hash", "Try again, or ask its operators")
    if re.search(CERTIFICATE, output):
        return untrusted(host)
    if (match := _PROXY_ANSWER.search(output)) or ("ProxyError" in output and not proxy):
        return refused_by_proxy(proxy, match[1].strip() if match else "")
    if match := _HTTP_ERROR.search(output):
        return Fault(f"the package index {host} answered {match[1] or match[2] or match[3]}", _CHECK_INDEX)
    if match := _REASON.search(output):
        return unreachable(host, proxy, _reason(output) or match[0])
    if match := re.search(r"satisfies the requirement (\S+)|there is no version of (\S+)", output):
        wanted = match[1] or match[2]
        return Fault(f"the package index {host} has no {wanted} for this Python and system", _CHECK_INDEX)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    last = (errors or lines or ["no output"])[-1]
    return Fault(f"{what} failed: {re.sub('^error: *', '', last, flags=re.I)[:300]}")


_CHECK_INDEX = "Check the package index that pip is set to use (`PIP_INDEX_URL`, pip.conf)"


def no_space(root: Path) -> Fault:
    """Return the fault of a full disk (or quota) below `root`."""
    return Fault(f"no space is left in {root}", "Free about 200 MB on that disk, and run install.sh again")


def untrusted(host: str) -> Fault:
    """Return why the certificate of `host` could not be verified: no authorities, or none that knows it."""
    if not has_authorities():
        return Fault(
            f"this machine has no CA certificates, so {host} cannot be verified",
            "Install the package ca-certificates, or set SSL_CERT_FILE and PIP_CERT to a file with certificates",
        )
    return Fault(
        f"this machine does not trust the certificate of {host}",
        "If your network has its own authority, set PIP_CERT and SSL_CERT_FILE to its certificate",
    )


def has_authorities() -> bool:
    """Tell whether OpenSSL's default places hold any certificate."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile and Path(paths.cafile).stat().st_size:
        return True
    try:
        return bool(paths.capath and any(Path(paths.capath).iterdir()))
    except OSError:
        return False


def refused_by_proxy(proxy: str, answer: str) -> Fault:
    """Return the fault of a proxy that answered with a refusal, such as "407 Proxy Authentication Required"."""
    name = f"the proxy {proxy}" if proxy else "the proxy"
    return Fault(f"{name} refused the connection" + (f": {answer}" if answer else ""), "Check HTTPS_PROXY")


def unreachable(host: str, proxy: str, reason: str) -> Fault:
    """Return the fault of a package index, or of the proxy on the way to it, that did not answer."""
    if proxy:
        return Fault(f"the proxy {proxy} cannot be reached: {reason}", "Check HTTPS_PROXY")
    return Fault(
        f"the package index {host} cannot be reached: {reason}",
        "Check the network; if it requires a proxy, set HTTPS_PROXY",
    )


def _reason(output: str) -> str:
    """Return the system's own words for what happened last, or ""."""
    words = re.findall(r"\[Errno -?\d+\] ([A-Za-z ]+)|cause: ([A-Za-z :]+?) ?(?:\(os error|$)", output, re.M)
    last: str = "".join(words[-1]) if words else ""
    return last.removeprefix("failed to lookup address information: ").strip()
