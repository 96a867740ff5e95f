from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import ProtocolError
from ssm_ssh.ssh.hostkey import HostKey, from_blob, from_line, strings
from tests.ssh.streams import ed25519, string

KINDS = [("ed25519", "256"), ("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")]


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def public(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind, bits = request.param
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", "root@h", "-f", path], check=True)
    return path.with_suffix(".pub")


def test_a_public_key_is_read_and_written_as_ssh_keygen_does(public: Path) -> None:
    line = public.read_text().rstrip("\n")
    key = from_line(line)
    assert key is not None
    assert key.line == line.removesuffix(" root@h")
    assert from_blob(key.blob) == key
    listed = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout
    assert key.described("root@h") == listed.rstrip("\n")


def test_of_a_certificate_the_plain_key_counts(public: Path, tmp_path: Path) -> None:
    key = from_line(public.read_text().rstrip("\n"))
    authority, copy = tmp_path / "ca", tmp_path / "key.pub"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority], check=True)
    shutil.copy(public, copy)
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-h", "-I", "x", "-n", "a,b", copy], check=True)
    certificate = (tmp_path / "key-cert.pub").read_text().rstrip("\n")
    blob = base64.b64decode(certificate.split()[1])
    assert from_blob(blob) == key
    assert from_line(certificate) is None
    for end in range(len(key.blob) + 32):  # the nonce has 32 bytes
        with pytest.raises(ProtocolError):
            from_blob(blob[:end])


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0\0\0",
        string(b""),
        string(b"ssh-ed25519"),
        string(b"ssh-ed25519") + string(bytes(31)),
        string(b"ssh-ed25519") + string(bytes(32)) + string(b""),
        string(b"ssh-ed25519") + string(bytes(32)) + b"\0",
        string(b"ssh-rsa") + string(b"\x80") + string(b"\x01"),
        string(b"ssh-rsa") + string(b"") + string(b"\x01"),
        string(b"ssh-rsa") + string(b"\0\x01") + string(b"\x01"),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp384") + string(b"\x04" + bytes(64)),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\x02" + bytes(32)),
        string(b"* ssh-ed25519") + string(bytes(32)),
        string(b"@cert-authority") + string(bytes(32)),
        string(b"a,b") + string(bytes(32)),
        string(b"new\nline") + string(bytes(32)),
        string(b"x-cert-v01@openssh.com") + string(bytes(32)) * 3,
        string(b"ssh-ed25519") + bytes(70_000),
    ],
)
def test_what_is_no_key_is_refused(blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        from_blob(blob)


def certificate(kind: bytes, fields: tuple[bytes, ...], *, role: int = 2, reserved: bytes = b"") -> bytes:
    """A certificate of the form that all types have (PROTOCOL.certkeys)."""
    authority = ed25519(9).blob
    parts = [string(kind), string(bytes(32)), *map(string, fields), bytes(8), role.to_bytes(4, "big")]
    parts += [string(b"host"), string(string(b"host.example")), bytes(8), b"\xff" * 8, string(b""), string(b"")]
    signature = string(b"ssh-ed25519") + string(bytes(64))
    return b"".join([*parts, string(reserved), string(authority), string(signature)])


@pytest.mark.parametrize("fields", [(b"k" * 1312,), (b"seed", b"root"), (b"a", b"b", b"c", b"d", b"e")])
def test_of_a_certificate_of_an_unknown_type_the_plain_key_counts(fields: tuple[bytes, ...]) -> None:
    key = from_blob(certificate(b"ssh-mldsa65-cert-v01@openssh.com", fields))
    kind = b"ssh-mldsa65@openssh.com"
    assert key == HostKey(kind.decode(), string(kind) + b"".join(map(string, fields)))
    assert from_line(key.line) == key


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("sk-ssh-ed25519@openssh.com", (bytes(32), b"ssh:")),
        ("sk-ecdsa-sha2-nistp256@openssh.com", (b"nistp256", b"\x04" + bytes(64), b"ssh:")),
    ],
)
def test_of_a_security_keys_certificate_the_plain_key_counts(kind: str, fields: tuple[bytes, ...]) -> None:
    certified = kind.replace("@", "-cert-v01@").encode()
    key = from_blob(certificate(certified, fields))
    assert key == HostKey(kind, string(kind.encode()) + b"".join(map(string, fields)))
    assert from_line(key.line) == key


@pytest.mark.parametrize(
    "blob",
    [
        certificate(b"ssh-new-cert-v01@openssh.com", (b"k",), role=1),
        certificate(b"ssh-new-cert-v01@openssh.com", (b"k",), reserved=b"x"),
        certificate(b"ssh-new-cert-v01@openssh.com", (b"k",)) + b"x",
        certificate(b"ssh-new-cert-v01@openssh.com", (b"k",))[:-1],
        certificate(b"ssh-new-cert-v01@openssh.com", (b"k",) * 9),
    ],
)
def test_what_has_not_a_host_certificates_form_is_refused_with_a_way_out(blob: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        from_blob(blob)
    assert "ssh -o HostKeyAlgorithms=-ssh-new-cert-v01@openssh.com" in caught.value.sentence()


def test_a_type_that_is_yet_to_come_is_taken_as_it_is() -> None:
    key = from_blob(string(b"ssh-mldsa-65@example.org") + b"whatever")
    assert key.kind == "ssh-mldsa-65@example.org"
    assert from_line(key.line) == key
    assert key.described("h") == f"0 {key.fingerprint} h (ssh-mldsa-65@example.org)"


GOOD = ed25519().line


@pytest.mark.parametrize(
    "line",
    [
        "",
        f"@cert-authority * {GOOD}",
        f"{GOOD}\n@cert-authority * {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}\r",
        f" {GOOD}",
        f"* {GOOD}",
        f'command="x" {GOOD}',
        GOOD.replace(" ", "  "),
        GOOD.replace(" ", "\t"),
        GOOD.replace("ssh-ed25519 ", "ssh-rsa "),
        GOOD[:-4],
        GOOD + "=",
        GOOD + "\u2028x",
        GOOD + " \x1b[2J",
        GOOD.replace("A", "A\n", 1),
        f"# {GOOD}",
    ],
)
def test_what_is_not_one_plain_key_line_is_none(line: str) -> None:
    assert from_line(line) is None


def test_a_comment_changes_nothing() -> None:
    assert from_line(f"{GOOD} root@ip-10-0-0-1 * @cert-authority") == ed25519()


@given(st.text())
def test_any_text_is_a_key_or_none(text: str) -> None:
    key = from_line(f"ssh-ed25519 {text}")
    assert key is None or key.kind == "ssh-ed25519"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_whose_line_says_the_same_or_an_error(blob: bytes) -> None:
    try:
        key = from_blob(blob)
    except ProtocolError:
        return
    assert from_line(key.line) == key


@given(st.lists(st.binary(max_size=40)), st.binary(min_size=1, max_size=3))
def test_strings_come_apart_as_they_were_put_together(parts: list[bytes], rest: bytes) -> None:
    data = b"".join(map(string, parts))
    assert strings(data) == parts
    with pytest.raises(ProtocolError):
        strings(data + rest)


def test_ssh_names_of_hardware_keys() -> None:
    sk = HostKey("sk-ssh-ed25519@openssh.com", b"")
    assert (sk.short, sk.bits) == ("ED25519-SK", 256)
    sk = HostKey("sk-ecdsa-sha2-nistp256@openssh.com", b"")
    assert (sk.short, sk.bits) == ("ECDSA-SK", 256)
