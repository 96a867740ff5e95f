"""installer.pip_wheel and pip_settings: pip's wheel from an index on loopback, as pip itself would find it."""

from __future__ import annotations

import base64
import gc
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer import pip_settings, pip_wheel
from installer.faults import Fault

NAME = "pip-26.3-py3-none-any.whl"
WHEEL = b"a wheel"


class Index(http.server.ThreadingHTTPServer):
    """Serves pages by path; `seen` has each request's path and Authorization."""

    daemon_threads = False  # so that server_close() waits for the last answer's socket to be closed

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.seen: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        status, content, headers = self.server.pages.get(self.path, (404, b"", {}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[Index]:
    server = Index()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    file = tmp_path / "pip.txt"
    file.write_text(f"pip==26.3 \\\n    --hash=sha256:{hashlib.sha256(WHEEL).hexdigest()}\n")
    return file


def settings(**env: str) -> pip_settings.Settings:
    return pip_settings.load({"PIP_CONFIG_FILE": "/dev/null", **env})


HTML = f'<html><a href="../../files/{NAME}#sha256=00">{NAME}</a><a>no link</a></html>'.encode()
JSON = json.dumps({"files": [{"filename": NAME, "url": f"/files/{NAME}", "hashes": {}}]}).encode()


@pytest.mark.parametrize("page", [HTML, JSON], ids=["html", "json"])
def test_the_wheel_comes_from_the_index(index: Index, pins: Path, tmp_path: Path, page: bytes) -> None:
    index.pages = {"/simple/pip/": (200, page, {}), f"/files/{NAME}": (200, WHEEL, {})}
    file = pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL=f"{index.url}/simple"))
    assert file == tmp_path / NAME
    assert file.read_bytes() == WHEEL


def test_another_hash_is_refused(index: Index, pins: Path, tmp_path: Path) -> None:
    index.pages = {"/simple/pip/": (200, HTML, {}), f"/files/{NAME}": (200, b"another", {})}
    with pytest.raises(Fault, match="does not match its pinned hash"):
        pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL=f"{index.url}/simple"))
    assert not (tmp_path / NAME).exists()


def test_credentials_go_to_the_index_alone(index: Index, pins: Path, tmp_path: Path) -> None:
    other = f"http://localhost:{index.server_port}/elsewhere/{NAME}"
    index.pages = {
        "/simple/pip/": (200, JSON, {}),
        f"/files/{NAME}": (302, b"", {"Location": other}),
        f"/elsewhere/{NAME}": (200, WHEEL, {}),
    }
    url = index.url.replace("//", "//me:p%40ss@")
    pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL=f"{url}/simple/"))
    basic = f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert index.seen == [("/simple/pip/", basic), (f"/files/{NAME}", basic), (f"/elsewhere/{NAME}", "")]


def test_no_credential_is_shown(index: Index, pins: Path, tmp_path: Path) -> None:
    index.pages = {"/simple/pip/": (403, b"", {})}
    url = index.url.replace("//", "//me:secret@")
    with pytest.raises(Fault, match=r"127\.0\.0\.1 answered 403") as caught:
        pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL=f"{url}/simple"))
    assert "secret" not in caught.value.line()


def test_a_folder_of_wheels_serves_without_a_network(pins: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / NAME).write_bytes(WHEEL)
    for links in (str(wheels), wheels.as_uri()):
        assert pip_wheel.fetch(pins, tmp_path, settings(PIP_FIND_LINKS=links, PIP_NO_INDEX="1")).exists()


def test_the_proxy_is_used_and_named(index: Index, pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://u:secret@127.0.0.1:{index.server_port}")
    index.pages = {
        "http://index.invalid/simple/pip/": (200, HTML, {}),
        f"http://index.invalid/files/{NAME}": (200, WHEEL, {}),
    }
    assert pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL="http://index.invalid/simple")).exists()
    monkeypatch.setenv("http_proxy", "http://u:secret@127.0.0.1:9")
    with pytest.raises(Fault, match=r"the proxy 127\.0\.0\.1:9 cannot be reached: Connection refused") as caught:
        pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL="http://index.invalid/simple"))
    assert "secret" not in caught.value.line()


# Before Python 3.11.9, http.client leaves the refused answer to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_proxy_that_refuses_is_quoted(
    index: Index, pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", index.url)  # answers CONNECT with 501
    with pytest.raises(Fault, match=r"the proxy 127\.0\.0\.1:\d+ refused the connection: 501"):
        pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL="https://index.invalid/simple"))
    gc.collect()


def test_an_index_that_does_not_answer_is_named(pins: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"the package index 127\.0\.0\.1 cannot be reached: Connection refused"):
        pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL="http://127.0.0.1:9/simple"))


def test_an_index_without_it_is_named(index: Index, pins: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=rf"the package index 127\.0\.0\.1 has no {NAME}"):
        pip_wheel.fetch(pins, tmp_path, settings(PIP_INDEX_URL=f"{index.url}/simple"))


def test_pips_files_are_read_in_pips_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "MACHINE_FILE", tmp_path / "etc/pip.conf")  # this machine's is not the test's
    home = tmp_path / "home"
    machine = tmp_path / "xdg/pip/pip.conf"
    for file in (machine, home / ".pip/pip.conf", home / ".config/pip/pip.conf", tmp_path / "chosen"):
        file.parent.mkdir(parents=True, exist_ok=True)
    machine.write_text("[global]\nindex-url = https://machine/simple\nextra-index-url = https://a/s\n  https://b/s\n")
    env = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}
    assert pip_settings.load(env).indexes == ("https://machine/simple", "https://a/s", "https://b/s")
    (home / ".pip/pip.conf").write_text("[global]\nindex_url = https://old/simple\n")
    assert pip_settings.load(env).host == "old"
    (home / ".config/pip/pip.conf").write_text("[install]\nindex-url = https://user/simple\n")
    assert pip_settings.load(env).host == "user"
    (tmp_path / "chosen").write_text("[global]\nindex-url = https://chosen/simple\n")
    env["PIP_CONFIG_FILE"] = str(tmp_path / "chosen")
    assert pip_settings.load(env).host == "user"  # [install] is stronger than [global]
    env["PIP_INDEX_URL"] = "https://env/simple"
    assert pip_settings.load(env).host == "env"
    (tmp_path / "chosen").write_text("not a section")
    assert pip_settings.load(env).host == "env"


def test_uv_is_given_pips_index_unless_it_has_its_own() -> None:
    mine = settings(PIP_INDEX_URL="https://mirror/simple", PIP_CERT="/ca.pem")
    assert pip_settings.for_uv(mine, {}) == {"UV_DEFAULT_INDEX": "https://mirror/simple", "SSL_CERT_FILE": "/ca.pem"}
    assert pip_settings.for_uv(mine, {"UV_DEFAULT_INDEX": "https://own"}) == {}
    assert pip_settings.for_uv(settings(), {}) == {}
