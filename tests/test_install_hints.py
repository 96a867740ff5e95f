"""ssm_ssh.install_hints and ssm_ssh.installation, for every way in which the package can have come here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ssm_ssh import install_hints, installation


class Installed:
    """A folder that is sys.prefix, with a package whose metadata tell where it came from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prefix = folder / "prefix"
        self.packages = self.prefix / "lib/site-packages"
        self.metadata = self.packages / "ssm_ssh-1.dist-info"
        self.metadata.mkdir(parents=True)
        (self.metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ssm-ssh\nVersion: 1\n")
        (self.metadata / "INSTALLER").write_text("pip\n")
        (self.prefix / "bin").mkdir()
        self.script = self.prefix / "bin/ssm-ssh"
        self.script.touch(mode=0o755)
        monkeypatch.setattr(sys, "prefix", str(self.prefix))
        monkeypatch.setattr(sys, "executable", str(self.prefix / "bin/python"))
        monkeypatch.setattr(sys, "path", [str(self.packages), *sys.path])
        monkeypatch.setenv("PATH", "/usr/bin")
        monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    def came_from(self, **url: object) -> None:
        (self.metadata / "direct_url.json").write_text(json.dumps(url))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    return Installed(tmp_path, monkeypatch)


def test_pip_is_named_with_the_interpreter_unless_its_environment_is_active(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install_hints.with_extra("lab") == f"{installed.prefix}/bin/python -m pip install 'ssm-ssh[lab]'"
    monkeypatch.setenv("VIRTUAL_ENV", str(installed.prefix))
    assert install_hints.with_extra("lab") == "pip install 'ssm-ssh[lab]'"


def test_uv_tool_and_pipx_are_named(installed: Installed) -> None:
    (installed.prefix / "uv-receipt.toml").touch()
    assert install_hints.with_extra("lab") == "uv tool install --force 'ssm-ssh[lab]'"
    (installed.prefix / "uv-receipt.toml").unlink()
    (installed.prefix / "pipx_metadata.json").touch()
    assert install_hints.with_extra("lab") == "pipx install --force 'ssm-ssh[lab]'"


def test_uv_pip_is_named_for_an_environment_without_pip(installed: Installed) -> None:
    (installed.metadata / "INSTALLER").write_text("uv\n")
    python = installed.prefix / "bin/python"
    assert install_hints.with_extra("lab") == f"uv pip install --python {python} 'ssm-ssh[lab]'"


def test_a_checkout_stays_where_it_comes_from(installed: Installed) -> None:
    installed.came_from(url="file:///home/me/my%20src", dir_info={})
    pip = f"{installed.prefix}/bin/python -m pip install"
    assert install_hints.with_extra("lab") == f"{pip} 'ssm-ssh[lab] @ file:///home/me/my%20src'"
    installed.came_from(url="file:///home/me/my%20src", dir_info={"editable": True})
    assert install_hints.with_extra("lab") == f"{pip} --editable '/home/me/my src[lab]'"
    installed.came_from(url="https://host/repo", vcs_info={"vcs": "git", "commit_id": "0"})
    assert install_hints.with_extra("lab") == f"{pip} 'ssm-ssh[lab] @ git+https://host/repo'"


def test_install_sh_is_named_with_its_checkout(installed: Installed) -> None:
    (installed.prefix / "made-by-install.sh").touch()
    assert install_hints.with_extra("lab") == "./install.sh"
    installed.came_from(url="file:///src/ssm-ssh", dir_info={})
    assert install_hints.with_extra("lab") == "/src/ssm-ssh/install.sh"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3}', '{"dir_info": {}}'])
def test_a_record_that_is_not_one_is_no_obstacle(installed: Installed, text: str) -> None:
    (installed.metadata / "direct_url.json").write_text(text)
    assert "'ssm-ssh[lab]" in install_hints.with_extra("lab")


def test_the_name_serves_where_the_path_leads_to_this_program(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install_hints.command() == str(installed.script)
    monkeypatch.setenv("PATH", str(installed.script.parent))
    assert install_hints.command() == "ssm-ssh"


def test_the_link_in_the_home_folder_is_shown_as_such(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".local/bin").mkdir(parents=True)
    (tmp_path / ".local/bin/ssm-ssh").symlink_to(installed.script)
    assert install_hints.command() == "~/.local/bin/ssm-ssh"


def test_a_program_below_the_users_site_is_started_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "lib/python3/site-packages"
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("HOME", "/nonexistent")  # as in a lab, whose HOME is another
    monkeypatch.setattr(installation, "__file__", str(packages / "ssm_ssh/installation.py"))
    own = tmp_path / "bin/ssm-ssh"
    own.parent.mkdir()
    own.touch()
    # Isolated, an interpreter would not see the user's packages.
    assert installation.program()[1:] == ("-E", str(own))
    start = installation.module("ssm_ssh.lab.server")
    assert start[1] == "-I"
    assert str(packages) in start[3]
