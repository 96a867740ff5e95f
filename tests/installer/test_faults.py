"""installer.faults: what pip 23, pip 26 and uv 0.13 print, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer import faults

ROOT = Path("/home/me/.local/share/ssm-ssh")
_RETRY = (
    "WARNING: Retrying (Retry(total={n}, connect=None, read=None, redirect=None, status=None)) after connection broken "
    "by '{why}': /simple/six/\n"
)
_NONE = (
    "ERROR: Could not find a version that satisfies the requirement six==1.17.0 (from versions: none)\n"
    "ERROR: No matching distribution found for six==1.17.0\n"
)


def retries(why: str) -> str:
    return "".join(_RETRY.format(n=n, why=why) for n in (4, 3, 2, 1, 0)) + _NONE


OLD_PROXY = retries(
    "ProxyError('Cannot connect to proxy.', NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object "
    "at 0x7f6cae6c9090>: Failed to establish a new connection: [Errno 111] Connection refused'))"
)
PROXY_SAYS_NO = retries("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Denied'))")
REFUSED = retries(
    "NewConnectionError(\"HTTPSConnection(host='127.0.0.1', port=9): Failed to establish a new connection: "
    '[Errno 111] Connection refused")'
)
NO_NAME = retries(
    "NameResolutionError(\"HTTPSConnection(host='pypi.org', port=443): Failed to resolve 'pypi.org' "
    '([Errno -2] Name or service not known)")'
)
UV_NO_NAME = """error: Failed to fetch: https://pypi.org/simple/six/
  cause: error sending request for url (https://pypi.org/simple/six/)
  cause: client error (Connect)
  cause: dns error
  cause: error resolving DNS
  cause: failed to lookup address information: Name or service not known
"""
UV_REFUSED = """error: Failed to fetch: https://pypi.org/simple/six/
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
HASH = """Collecting six==1.17.0 (from -r req.txt (line 1))
  Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, ...
    six==1.17.0 from https://files.pythonhosted.org/packages/b7/six-1.17.0-py2.py3-none-any.whl (from -r r (line 1)):
        Expected sha256 0000000000000000000000000000000000000000000000000000000000000000
             Got        4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
"""
CASES = {
    "pip 23, proxy": (OLD_PROXY, "proxy:3128", "the proxy proxy:3128 cannot be reached: Connection refused"),
    "pip 26, proxy": (REFUSED, "proxy:3128", "the proxy proxy:3128 cannot be reached: Connection refused"),
    "uv, proxy": (UV_REFUSED, "proxy:3128", "the proxy proxy:3128 cannot be reached: Connection refused"),
    "proxy wants a password": (PROXY_SAYS_NO, "proxy:3128", "the proxy proxy:3128 refused the connection: 407 Denied"),
    "refused": (REFUSED, "", "the package index pypi.org cannot be reached: Connection refused"),
    "no name": (NO_NAME, "", "the package index pypi.org cannot be reached: Name or service not known"),
    "uv, no name": (UV_NO_NAME, "", "the package index pypi.org cannot be reached: Name or service not known"),
    "timeout": (retries('ReadTimeoutError("Read timed out. (read timeout=15)")'), "", "cannot be reached: timed out"),
    "no such release": (_NONE, "", "the package index pypi.org has no six==1.17.0 for this Python and system"),
    "hash": (HASH, "", "six==1.17.0 from pypi.org does not match its pinned hash"),
    "uv, hash": ("error: Hash mismatch for `six==1.17.0`\n", "", "six==1.17.0 from pypi.org does not match its pinned"),
    "forbidden": ("ERROR: HTTP error 403 while getting https://pypi.org/x\n", "", "pypi.org answered 403"),
    "full": (
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
        "",
        f"no space is left in {ROOT}",
    ),
    "quota": ("OSError: [Errno 122] Disk quota exceeded: '/x'\n", "", f"no space is left in {ROOT}"),
    "other": ("noise\nERROR: Something\x1b[31m new\n", "", "this work failed: Something [31m new"),
    "silent": ("", "", "this work failed: no output"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_failure_is_one_line_that_names_its_cause(case: str) -> None:
    output, proxy, sentence = CASES[case]
    line = faults.explain(output, "this work", root=ROOT, host="pypi.org", proxy=proxy).line()
    assert sentence in line
    assert line.isprintable()


def test_a_retry_that_helped_is_not_the_cause() -> None:
    output = _RETRY.format(n=4, why="ReadTimeoutError('Read timed out')") + HASH
    assert "pinned hash" in faults.explain(output, "x", root=ROOT, host="pypi.org", proxy="").line()


@pytest.mark.parametrize("present", [True, False])
def test_missing_authorities_are_told_from_an_unknown_one(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(faults, "has_authorities", lambda: present)
    outputs = (
        retries("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))"),
        "ERROR: Could not install packages due to an OSError: Could not find a suitable TLS CA certificate bundle, "
        "invalid path: /etc/ssl/certs/ca-certificates.crt\n",
        "error: Failed to fetch\n  cause: invalid peer certificate: UnknownIssuer\n",
    )
    for output in outputs:
        line = faults.explain(output, "x", root=ROOT, host="pypi.org", proxy="").line()
        assert ("has no CA certificates" in line) != present
        assert ("does not trust the certificate" in line) == present


def test_authorities_are_looked_for_where_openssl_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert not faults.has_authorities()
    (tmp_path / "none.pem").write_text("x")
    assert faults.has_authorities()
