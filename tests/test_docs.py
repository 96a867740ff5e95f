"""The documentation says what the code does: generated parts are current, and whatever is named exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pytest

from ssm_ssh.cli.main import COMMANDS
from ssm_ssh.settings.schema import SETTINGS, load
from tests import docs
from tests.test_architecture import PACKAGE

ROOT = docs.ROOT
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))}
GENERATED = {"docs/messages.md", "docs/commands.md"}
WRITTEN = sorted(set(PAGES) - GENERATED)
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def blocks(page: str, *kinds: str) -> list[str]:
    """Return the fenced blocks of these kinds on a page."""
    return [block for kind, block in FENCED.findall(text_of(page)) if kind in kinds]


def prose(page: str) -> str:
    return FENCED.sub("", text_of(page))


@pytest.mark.parametrize("path", docs.pages(), ids=lambda path: path.name)
def test_the_generated_parts_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == docs.pages()[path], (
        f"{path.name} is out of date; run: python -m tests.docs"
    )


@pytest.mark.parametrize("page", WRITTEN)
def test_prose_is_wrapped_at_100_columns(page: str) -> None:
    long = [line for line in prose(page).splitlines() if len(line) > 100 and not line.startswith("|")]
    assert not long


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("page", WRITTEN)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        name, _, anchor = unquote(target).partition("#")
        path = (PAGES[page].parent / name).resolve() if name else PAGES[page]
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
            assert anchor in {anchor_of(heading) for heading in headings}, target


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_reachable_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)\s#]+)", text_of("README.md")))
    missing = {page for page in PAGES if page not in linked and page != "README.md"}
    named_elsewhere = {page for page in missing if any(Path(page).name in text_of(other) for other in WRITTEN)}
    assert missing <= named_elsewhere


@pytest.mark.parametrize("setting", [one.name for one in SETTINGS])
def test_every_setting_is_documented(setting: str) -> None:
    assert f"| `{setting}` |" in text_of("docs/configuration.md")


@pytest.mark.parametrize("page", WRITTEN)
def test_the_settings_that_are_shown_are_accepted(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for block in blocks(page, "toml"):
        (tmp_path / "ssm-ssh").mkdir(mode=0o700, exist_ok=True)
        file = tmp_path / "ssm-ssh" / "config.toml"
        file.write_text(block)
        file.chmod(0o600)
        names = re.findall(r"^(\w+) =", block, re.MULTILINE)
        settings = load(env={})
        assert names
        assert all(str(file) in settings.origin(name) for name in names)


@pytest.mark.parametrize("page", WRITTEN)
def test_the_settings_that_are_named_exist(page: str) -> None:
    known = {one.name for one in SETTINGS}
    variables = {one.variable for one in SETTINGS}
    text = text_of(page)
    for name in re.findall(r"`(\w+) = ", text):
        assert name in known, name
    for name in re.findall(r"\bSSM_SSH_(?!LAB|TEST|FORWARD)[A-Z_]*[A-Z]\b", text):
        assert name in variables, name


def commands_in(pieces: Iterable[str]) -> set[str]:
    """Return the pieces that are ssm-ssh commands, each on one line and without a prompt."""
    commands = (" ".join(piece.split()).removeprefix("$ ") for piece in pieces)
    return {command for command in commands if re.match(r"ssm-ssh [a-z-]", command)}


def commands_to_run() -> set[str]:
    """Return the commands that the pages show in blocks: each is complete."""
    lines = (
        line.partition(" #")[0]
        for page in WRITTEN
        for block in blocks(page, "", "sh")
        for line in block.replace("\\\n", " ").splitlines()
    )
    return commands_in(lines)


def shown_commands() -> list[tuple[str, str]]:
    """Return (page, command) for each command that a page names between backquotes, and ("", command) for the rest."""
    named = {
        (page, command)
        for page in WRITTEN
        for command in commands_in(re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose(page)))
    }
    return sorted(named | {("", command) for command in commands_to_run()})


@pytest.mark.parametrize(("page", "command"), shown_commands())
def test_every_command_that_is_shown_is_understood(page: str, command: str) -> None:
    name, *words = shlex.split(re.sub(r"\[(\w+)\]", r"\1", command).replace("…", "0123456789abcdef0"))[1:]
    if name == "COMMAND" or name.startswith("-"):
        assert words in ([], ["--help"])
        return
    assert name in COMMANDS
    if name in ("lab", "forward") and "--" in words:  # what follows is another program's
        words = words[: words.index("--")]
    if words == ["--help"]:
        return
    if words or name != "proxy":
        docs.parse(name, words)


@pytest.mark.parametrize("page", WRITTEN)
def test_the_modules_and_files_that_are_named_exist(page: str) -> None:
    for name in re.findall(r"`((?:ssm_ssh|tests|docs|benchmarks|requirements|installer)/[\w./-]*)`", text_of(page)):
        assert (ROOT / name).exists(), name


def test_the_modules_of_the_architecture_exist() -> None:
    text = prose("ARCHITECTURE.md")
    for name in re.findall(r"`((?:\w+/)*\w+(?:\.py|/))`", text):
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name


def test_the_variables_that_are_named_are_read() -> None:
    files = [*PACKAGE.rglob("*.py"), ROOT / "install.sh"]
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    section = text_of("docs/configuration.md").partition("## Environment variables")[2].partition("\n## ")[0]
    names = set(re.findall(r"`([A-Z][A-Z_]{3,})`", section + prose("docs/aws-settings.md")))
    by_libraries = {"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"} | {"BROWSER"}
    by_botocore = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}
    assert names
    assert {name for name in names if name not in source} <= by_libraries | by_botocore
