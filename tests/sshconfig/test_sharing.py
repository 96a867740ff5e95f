from pathlib import Path

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.sshconfig import sharing


@pytest.mark.parametrize("time", ["", "no"])
def test_nothing_is_shared_unless_it_is_asked_for(time: str) -> None:
    assert sharing.options(Path("/home/me/.ssh"), time) == ()


def test_a_path_of_its_own_for_each_host_port_and_user() -> None:
    assert sharing.options(Path("/home/me/.ssh"), "10m") == (
        ("ControlMaster", "auto"),
        ("ControlPersist", "10m"),
        ("ControlPath", '"/home/me/.ssh/ssm-%C"'),
    )


@pytest.mark.parametrize("limit", [103, 107])
def test_a_socket_s_path_is_limited(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While ssh creates it, a dot and 16 characters follow the name."""
    monkeypatch.setattr(sharing, "_LONGEST_PATH", limit)
    longest = limit - len("/ssm-") - 40 - 17
    assert sharing.options(Path("/" + "x" * (longest - 1)), "10m")
    for folder in ("/" + "x" * longest, "/" + "\u00f6" * (longest // 2 + 1)):
        with pytest.raises(UsageError) as refused:
            sharing.options(Path(folder), "10m")
        assert refused.value.hint == "Run: ssm-ssh setup --share no"
