from __future__ import annotations

from ssm_ssh.lab.sshd.embedded import _drop


def test_the_embedded_server_drops_as_sshd_does() -> None:
    assert not any(_drop(9) for _ in range(1000))
    dropped = sum(_drop(10) for _ in range(10_000))
    assert 2_500 < dropped < 3_500
    assert all(_drop(100) for _ in range(1000))
