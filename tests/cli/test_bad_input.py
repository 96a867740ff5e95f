"""A corpus of wrong calls, environments, files and answers: each yields one clear line, and never a traceback."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ID = "i-0123456789abcdef0"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40, "AWS_REGION": "eu-central-1"}


class Said(NamedTuple):
    status: int
    line: str
    stderr: str


def call(home: Path, *words: str, env: dict[str, str] | None = None) -> Said:
    """Run `ssm-ssh WORDS`; `line` is what ssh would show of an SSH_MSG_DISCONNECT, else stderr."""
    clean = {"HOME": str(home), "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", **(env or {})}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "ssm_ssh", *words],
        env=clean,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        # As ssh does: it says nothing that helps, reads what it is told, and only then hangs up.
        out = process.stdout.read(65536)
        rest, stderr = process.communicate(timeout=60)
    out, err = out + rest, stderr.decode()
    if out.startswith(b"SSH-2.0-"):
        packet = out.split(b"\r\n", 1)[1]
        out = packet[14 : 14 + int.from_bytes(packet[10:14], "big")]
        assert err == ""
        return Said(process.returncode, out.decode("ascii"), err)
    return Said(process.returncode, err.strip(), err)


def clear(said: Said, *words: str) -> None:
    assert said.status in (1, 2)
    assert said.line
    assert said.line.isprintable(), said.line
    assert len(said.line) <= 420
    assert "Traceback" not in said.line
    assert "unexpected error" not in said.line
    for word in words:
        assert word.lower() in said.line.lower(), said.line


ARGUMENTS = {
    "nothing": (["proxy"], "host"),
    "an unknown command": (["prox"], "no command"),
    "an unknown option": (["proxy", "--frobnicate", ID, "22", "u"], "frobnicate"),
    "a value that is missing": (["proxy", ID, "22", "u", "--region"], "region"),
    "too many words": (["proxy", ID, "22", "u", "more"], "more"),
    "a host name": (["proxy", "web.example.com", "22", "u"], "not an instance id"),
    "a host with a quote": (["proxy", "i-'$(id)'", "22", "u"], "not an instance id"),
    "a host with an escape": (["proxy", "i-\x1b[31m\r\n", "22", "u"], "not an instance id"),
    "a huge host": (["proxy", "i-" + "0" * 100_000, "22", "u"], "not an instance id"),
    "a word that is no text": (["proxy", "\udcff\udcfe", "22", "u"], "not an instance id"),
    "a port with letters": (["proxy", ID, "ssh", "u"], "not a port"),
    "port zero": (["proxy", ID, "0", "u"], "not a port"),
    "a port beyond the last": (["proxy", ID, "65536", "u"], "not a port"),
    "an empty user": (["proxy", ID, "22", ""], "not a user name"),
    "a user with a space": (["proxy", ID, "22", "a b"], "not a user name"),
    "a user like an option": (["proxy", ID, "22", "--", "-l"], "not a user name"),
    "a way of pushing that is none": (["proxy", ID, "22", "u", "--push", "pigeon"], "pigeon"),
    "a limit that is no number": (["proxy", ID, "22", "u", "--resume-limit", "soon"], "resume-limit"),
    "a limit below zero": (["proxy", ID, "22", "u", "--resume-limit=-1"], "resume-limit"),
    "a limit that is not finite": (["proxy", ID, "22", "u", "--resume-limit", "nan"], "resume-limit"),
    "a log in a folder that is none": (["proxy", ID, "22", "u", "--log-file", "/nowhere/log"], "/nowhere/log"),
    "a region with a slash": (["proxy", ID, "22", "u", "--region", "eu/../x"], "region"),
    "a region that is a host": (["proxy", ID, "22", "u", "--region", "evil.com#"], "region"),
    "a profile that is not there": (["proxy", ID, "22", "u", "--profile", "nobody"], "nobody"),
    "a document's name with a space": (["proxy", ID, "22", "u", "--document", "my doc"], "document"),
    "a key in whatever folder this is": (["proxy", ID, "22", "u", "--key", "keys/id.pub"], "keys/id.pub, is not abs"),
    "a key that begins like the agent": (["proxy", ID, "22", "u", "--key", "agentkey.pub"], "agentkey.pub, is not abs"),
    "a key of an unknown user": (
        ["proxy", ID, "22", "u", "--key", "~no-such-user/id.pub"],
        "home of a user who does not exist",
    ),
    "a key that is no file": (["proxy", ID, "22", "u", "--key", "/dev/zero"], "/dev/zero is not a file"),
    "a lab of no instances": (["lab", "--instances", "0"], "0"),
    "a lab with words": (["lab", "--instances", "many"], "many"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(tmp_path: Path, name: str) -> None:
    words, expected = ARGUMENTS[name]
    # Whatever was not refused before would end here, without a network: nobody listens on port 9.
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_SSMMESSAGES": "http://127.0.0.1:9"}
    clear(call(tmp_path, *words, env={**KEYS, **nowhere}), expected)


ENVIRONMENTS = {
    "no region": ({"AWS_REGION": ""}, "region"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
    "half a key": ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY"),
    "a key with a newline": ({"AWS_ACCESS_KEY_ID": "AKIA\nX: y"}, "environment"),
    "an endpoint that is no URL": ({"AWS_ENDPOINT_URL_SSM": "not a url"}, "ssm"),
    "an endpoint without TLS elsewhere": ({"AWS_ENDPOINT_URL_SSM": "http://example.com"}, "encrypted"),
    "an endpoint with a backslash": ({"AWS_ENDPOINT_URL_SSM": "https://good\\@evil.com/"}, "ssm"),
    "a proxy that is no URL": (
        {"HTTPS_PROXY": "http://user:hunter2@", "AWS_ENDPOINT_URL": "https://127.0.0.1:9"},
        "HTTPS_PROXY",
    ),
    "a proxy of another kind": (
        {"HTTPS_PROXY": "socks5://127.0.0.1:1", "AWS_ENDPOINT_URL": "https://127.0.0.1:9"},
        "HTTPS_PROXY",
    ),
    "a proxy that is not there": (
        {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_ENDPOINT_URL": "https://127.0.0.1:8"},
        "127.0.0.1:9",
    ),
    "a way of pushing that is none": ({"SSM_SSH_PUSH": "pigeon"}, "pigeon"),
    "a limit that is no number": ({"SSM_SSH_RESUME_LIMIT": "soon"}, "soon"),
    "nobody listens": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    "a data folder that is a file": ({"XDG_DATA_HOME": "/dev/null"}, "/dev/null"),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environments(tmp_path: Path, name: str) -> None:
    changes, expected = ENVIRONMENTS[name]
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"} if "AWS_ENDPOINT_URL" not in changes else {}
    said = call(tmp_path, "proxy", ID, "22", "u", env={**KEYS, **nowhere, **changes})
    clear(said, expected)
    assert "hunter2" not in said.line
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in said.line


@pytest.mark.parametrize("name", ["known_hosts", "id_ed25519", "id_ed25519.pub"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_something_else_in_the_place_of_a_file_of_ours(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    folder = tmp_path / ".local" / "share" / "ssm-ssh"
    folder.mkdir(mode=0o700, parents=True)
    make(folder / name)
    words = ["host-keys"] if name == "known_hosts" else ["proxy", ID, "22", "u"]
    said = call(tmp_path, *words, env={**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    clear(said, f"{name} is not a plain file. Remove it")


def test_a_key_that_is_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    words = ("proxy", ID, "22", "u", "--key", str(tmp_path / "key"))
    clear(call(tmp_path, *words, env={**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}), "key is not a file")


FILES = {
    "a config that is not INI": ("no section\n", "config"),
    "a config that is not text": (b"\xff\xfe\x00[", "config"),
    "a profile without a region": ("[default]\noutput = json\n", "region"),
    "a source profile that is missing": (
        "[default]\nregion = eu-central-1\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = gone\n",
        "gone",
    ),
    "a credential process that fails": (
        "[default]\nregion = eu-central-1\ncredential_process = /bin/false\n",
        "default",
    ),
    "an SSO session that was never logged in": (
        "[default]\nregion = eu-central-1\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://example.com/start\n",
        "ssm-ssh login",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    config = tmp_path / ".aws" / "config"
    config.parent.mkdir()
    config.write_bytes(content.encode() if isinstance(content, str) else content)
    clear(call(tmp_path, "proxy", ID, "22", "u", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}), expected)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    answer = b""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        length = 0
        while line := self.rfile.readline(65536).strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.rfile.read(length)
        self.wfile.write(self.server.answer)  # type: ignore[attr-defined]


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def http(status: str, body: bytes | str = b"", *headers: str) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def started(url: str, **more: object) -> bytes:
    return http("200 OK", json.dumps({"SessionId": "a-1", "TokenValue": "t", "StreamUrl": url, **more}))


ANSWERS = {
    "nothing": (b"", "127.0.0.1"),
    "garbage": (b"\x00\xff" * 100, "127.0.0.1"),
    "a line that never ends": (b"HTTP/1.1 200 " + b"x" * 200_000, "127.0.0.1"),
    "a login page": (http("200 OK", "<html>please log in</html>"), "JSON"),
    "a redirect": (http("302 Found", b"", "Location: https://evil.com/"), "302"),
    "JSON that is no object": (http("200 OK", "[]"), "JSON"),
    "JSON that is too deep": (http("200 OK", "[" * 100_000), "JSON"),
    "an object that lacks all": (http("200 OK", "{}"), "SessionId"),
    "numbers in place of text": (http("200 OK", '{"SessionId":1,"TokenValue":2,"StreamUrl":3}'), "SessionId"),
    "an error without a code": (http("400 Bad Request", "{}"), "400"),
    "an error of escapes": (
        http("400 Bad Request", '{"__type":"Odd\\u001b[31m","message":"\\r\\nforged \\u009b line"}'),
        "forged",
    ),
    "an unknown key": (http("400 Bad Request", '{"__type":"UnrecognizedClientException","message":"m"}'), "key"),
    "an expired token": (
        http("400 Bad Request", '{"__type":"ExpiredTokenException","message":"m"}'),
        "AWS_SESSION_TOKEN",
    ),
    "denied": (
        http(
            "400 Bad Request",
            '{"__type":"AccessDeniedException","message":"User: arn:aws:iam::1:user/u is not authorized to perform: '
            'ssm:StartSession on resource: arn:aws:ec2:eu-central-1:1:instance/i-0123456789abcdef0"}',
        ),
        "ssm:StartSession",
    ),
    "not connected": (http("400 Bad Request", '{"__type":"TargetNotConnected","message":"m"}'), "region"),
    "no such document": (http("400 Bad Request", '{"__type":"InvalidDocument","message":"m"}'), "document"),
    "throttled": (http("400 Bad Request", '{"__type":"ThrottlingException","message":"Rate exceeded"}'), "throttles"),
    "a stream elsewhere": (started("wss://evil.com/v1/data-channel/a-1"), "evil.com"),
    "a stream without TLS": (started("ws://ssmmessages.eu-central-1.amazonaws.com/x"), "stream URL"),
    "a stream with a user": (started("wss://u@ssmmessages.eu-central-1.amazonaws.com/x"), "stream URL"),
    "a stream with a backslash": (started("wss://good\\@evil.com/"), "stream URL"),
    "a stream URL of a megabyte": (started("wss://ssmmessages.eu-central-1.amazonaws.com/" + "x" * 1_000_000), "URL"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(tmp_path: Path, server: _Server, name: str) -> None:
    server.answer, expected = ANSWERS[name]
    url = f"http://127.0.0.1:{server.server_address[1]}"
    env = {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_SSMMESSAGES": "http://127.0.0.1:9"}
    clear(call(tmp_path, "proxy", ID, "22", "u", "--push", "none", env=env), expected)


def test_a_ca_bundle_that_is_not_there(tmp_path: Path, server: _Server) -> None:
    url = f"https://127.0.0.1:{server.server_address[1]}"
    env = {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": "/nowhere/ca.pem"}
    clear(call(tmp_path, "proxy", ID, "22", "u", "--push", "none", env=env), "/nowhere/ca.pem")


def test_debug_brings_the_details_and_still_no_traceback(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ("proxy", "--log-file", str(log), ID, "22", "u")
    clear(call(tmp_path, *words, env={**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}), "127.0.0.1:9")
    short = log.read_text()
    assert "error: " in short
    done = subprocess.run(
        [sys.executable, "-m", "ssm_ssh", "proxy", "--debug", "--region", "eu/x", ID, "22", "u"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    assert "region" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
