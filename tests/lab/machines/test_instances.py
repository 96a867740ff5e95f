from __future__ import annotations

import pytest

from ssm_ssh.lab.machines.instances import choose_kind
from ssm_ssh.lab.wire.rpc import CallFailed


def test_the_system_server_is_refused_where_it_cannot_be() -> None:
    assert choose_kind("embedded", "/lib/wrapper.so") == "embedded"
    assert choose_kind("auto", "") == "embedded"
    with pytest.raises(CallFailed, match="OpenSSH's sshd and libnss-wrapper"):
        choose_kind("system", "")
