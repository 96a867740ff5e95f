from __future__ import annotations

from ssm_ssh.lab.sshd.instance_connect import PushedKeys


def test_pushed_keys_end_one_by_one() -> None:
    now = [0.0]
    keys = PushedKeys(lambda: now[0])
    assert keys.next_end() is None
    keys.push("a", "ssh-ed25519 ONE comment with words")
    now[0] = 10.0
    keys.push("a", "ssh-ed25519 TWO")
    assert keys.lines("a") == ["ssh-ed25519 ONE", "ssh-ed25519 TWO"]
    assert keys.lines("b") == []
    assert keys.next_end() == 50.0
    now[0] = 60.0
    assert keys.lines("a") == ["ssh-ed25519 TWO"]
    keys.push("a", "ssh-ed25519 TWO")
    assert keys.next_end() == 60.0
