import subprocess
import sys

import pytest

from ssm_ssh.transport.host_name import encoded


@pytest.mark.parametrize(
    ("host", "expected"), [("localhost", b"localhost"), ("::1", b"::1"), ("", b""), ("b\u00fccher.example", None)]
)
def test_only_other_letters_need_the_codec(host: str, expected: bytes | None) -> None:
    assert encoded(host) == (host if expected is None else expected)


def test_looking_up_such_a_name_loads_no_codec() -> None:
    program = (
        "import socket, sys; from ssm_ssh.transport.host_name import encoded;"
        "socket.getaddrinfo(encoded('127.0.0.1'), 22); print('encodings.idna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
