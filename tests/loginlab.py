"""The lab's IAM Identity Center and sign-in on a port, with a home whose profiles lead there."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from ssm_ssh.lab.api.context import ServiceContext
from ssm_ssh.lab.api.server import Api
from ssm_ssh.lab.folder import add_login_profiles
from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.login import browser
from ssm_ssh.lab.options import LabOptions
from ssm_ssh.lab.state import LabState
from ssm_ssh.lab.wire.http import HttpServer
from tests.lab.transports import close_transports

T = TypeVar("T")


class LoginLab:
    """`home` is a home, `env` all of AWS's environment; `early` is added to the server's clock."""

    def __init__(self, folder: Path) -> None:
        import time

        self.early = 0.0
        self.state = LabState(LabOptions(instances=1), clock=lambda: time.time() + self.early)
        authority = new_authority(folder)
        self.home = folder / "home"
        (self.home / ".aws").mkdir(parents=True)
        self.config = self.home / ".aws/config"
        self.config.write_text(f"[profile keys]\nregion = {self.state.region}\n")
        add_login_profiles(folder, self.state.region, self.state.account, self.state.start_url)
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(authority.pem)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.api = Api(ServiceContext(self.state, None, None))  # type: ignore[arg-type] - no session is started here
        self._server = HttpServer(self.api.handle, authority.server_context)
        self.url = f"https://127.0.0.1:{self._run(self._server.start())}"
        self.api.logins.pages.base = self.url
        self.env = {
            "HOME": str(self.home),
            "AWS_CA_BUNDLE": str(ca_file),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def _run(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        self._run(self._server.stop())
        self._run(self.api.stop())
        self._run(close_transports())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def visit(self, url: str, decision: str = "allow", password: str | None = None) -> str:
        """Be the person at a browser."""
        password = self.state.password if password is None else password
        return browser.visit(url, password=password, ca_file=self.env["AWS_CA_BUNDLE"], decision=decision)

    def calls(self) -> list[tuple[str, str]]:
        """Return operation and error of each call so far."""
        return [(call.operation, call.error) for call in self.state.calls()]


@contextmanager
def running(folder: Path) -> Iterator[LoginLab]:
    lab = LoginLab(folder)
    try:
        yield lab
    finally:
        lab.stop()


def clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what would lead a program of AWS's out of a test."""
    for name in list(os.environ):
        if name.startswith("AWS_") or "proxy" in name.lower() or name == "BROWSER":
            monkeypatch.delenv(name)
