"""Which Python install.sh takes, and what it says where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.installation import PYTHON, Place, fake_python, fake_uv, make_place, write_program

# Each as /etc/os-release has it, and the command that installs a newer Python there.
SYSTEMS = {
    "Amazon Linux 2023": ('ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"', "dnf install python3.11"),
    "Amazon Linux 2": ('ID="amzn"\nID_LIKE="centos rhel fedora"\nVERSION_ID="2"', "install uv"),
    "RHEL 9": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"', "dnf install python3.11"),
    "Rocky 8": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.9"', "dnf install python3.11"),
    "Fedora": ("ID=fedora\nVERSION_ID=43", "dnf install python3"),
    "Debian 11": ('ID=debian\nVERSION_ID="11"', "install uv"),
    "Debian 12": ('ID=debian\nVERSION_ID="12"', "apt-get install python3 python3-venv"),
    "Ubuntu 20.04": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="20.04"', "install uv"),
    "Ubuntu 24.04": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"', "apt-get install python3 python3-venv"),
    "openSUSE Leap": ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"', "zypper install python311"),
    "Alpine": ("ID=alpine\nVERSION_ID=3.22.1", "apk add python3"),
    "Arch": ("ID=arch", "pacman -S python"),
    "unknown": ("ID=nixos\nVERSION_ID=25.05", "Install Python 3.10 or newer"),
}
OLD = Path.home() / ".pyenv/versions/3.9.18/bin/python3.9"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def release(place: Place, text: str) -> None:
    """Have install.sh take `text` for the system's own description."""
    file = place.home.parent / "os-release"
    file.write_text(f'PRETTY_NAME="x"\n{text}\n')
    script = place.checkout / "install.sh"
    script.write_text(script.read_text().replace("/etc/os-release", f"'{file}'"))


def old_python(place: Place) -> Path:
    """Put a real Python 3.9 on the PATH as python3; where this machine has none, a program that answers like it."""
    if not OLD.exists():
        return fake_python(place, "python3", version="3.9.18")
    write_program(place.path / "python3", f"exec '{OLD}' \"$@\"\n")
    return OLD


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_python_that_is_too_old_is_named_with_this_systems_remedy(place: Place, system: str) -> None:
    text, command = SYSTEMS[system]
    release(place, text)
    old = old_python(place)
    done = place.run()
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert f"{old} is Python 3.9.18; ssm-ssh needs Python 3.10 or newer. " in line
    assert command in line
    assert place.contents() == []


def test_on_macos_brew_is_named(place: Place) -> None:
    old_python(place)
    (place.path / "uname").unlink()
    write_program(place.path / "uname", "echo Darwin\n")
    done = place.run()
    assert done.returncode == 1
    assert done.stdout.endswith("Run: brew install python\n")
    assert place.contents() == []


def test_no_python_at_all_is_told(place: Place) -> None:
    release(place, SYSTEMS["Debian 12"][0])
    done = place.run(PYTHON="")
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "There is no Python on the PATH; ssm-ssh needs Python 3.10 or newer. Run: " in line


def test_the_variable_that_names_an_old_python_is_named(place: Place) -> None:
    old_python(place)
    fake_uv(place)  # not asked: the variable is an order
    done = place.run(PYTHON=str(place.path / "python3"))
    assert done.returncode == 1
    assert f"PYTHON={place.path}/python3 is Python 3.9.18; ssm-ssh needs Python 3.10 or newer." in done.stdout
    assert place.contents() == []


def test_uv_is_asked_where_python_is_too_old(place: Place) -> None:
    old_python(place)
    fake_uv(place)
    bare = fake_python(place, "bare-python", missing=("ensurepip",))
    uv = place.path / "uv"
    uv.write_text(uv.read_text().replace("set -e\n", f"set -e\n[ \"$1\" != run ] || {{ echo '{bare}'; exit; }}\n"))
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert "is Python 3.9.18: asking uv for a newer one" in done.stdout
    assert place.program("--version").returncode == 0


def test_a_uv_that_has_none_either_is_told_in_one_line(place: Place) -> None:
    release(place, SYSTEMS["RHEL 9"][0])
    old_python(place)
    write_program(place.path / "uv", "echo 'error: Failed to fetch'; echo '  cause: dns error'; exit 2\n")
    done = place.run()
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert "dns error. Run: " in done.stdout
    assert place.contents() == []


def test_a_python_without_ssl_is_told(place: Place) -> None:
    bare = fake_python(place, "python3", missing=("ensurepip", "ssl"))
    done = place.run()
    assert done.returncode == 1
    assert f"{bare} is incomplete: it lacks the module ssl or venv" in done.stdout
    assert place.contents() == []


def test_a_complete_python_is_preferred_to_a_bare_one(place: Place) -> None:
    fake_python(place, "python3.12", missing=("ensurepip",))
    write_program(place.path / "python3", f"exec '{PYTHON}' \"$@\"\n")
    fake_uv(place)
    done = place.run(PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert f"Creating a virtual environment with {PYTHON}" in done.stdout
    assert done.returncode == 1
    assert place.contents() == []
