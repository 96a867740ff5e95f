"""What whoever calls `ssm-ssh` sees of an error that nobody foresaw."""

from __future__ import annotations

import pytest

from ssm_ssh.cli import main, proxy


@pytest.mark.parametrize("debug", [False, True])
def test_a_surprise_is_told_printable_and_never_in_full(
    debug: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "canary\u2026".upper()  # so that it does not stand in the line of the traceback

    def fails(_argv: list[str]) -> int:
        raise ValueError("outside \x1b[31m\r\ntext") from UnicodeEncodeError("ascii", secret, 6, 7, "odd")

    monkeypatch.setattr(main, "_dispatch", fails)
    assert main.main(["list", "--debug"] if debug else ["list"]) == 1
    said = capfd.readouterr().err
    assert "unexpected error: ValueError: outside [31m text. Add --debug" in said
    assert ("Traceback" in said) == debug
    assert "\x1b" not in said
    assert "\r" not in said
    assert "CANARY" not in said


def test_the_proxy_says_a_surprise_in_band(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_options: object) -> int:
        raise ValueError("outside \x1b[31m")

    said: list[str] = []
    monkeypatch.setattr(proxy, "_proxy", fails)
    monkeypatch.setattr(proxy, "_say_in_band", said.append)
    assert proxy.run(["i-0123456789abcdef0", "--debug"]) == 1
    assert said == ["unexpected error: ValueError: outside [31m. Add --debug to the ProxyCommand to see where"]
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "\x1b" not in told
