"""The pure part of the package: modules that know no socket, file, clock, thread or program.

tests/test_architecture.py checks what they import, and `python -m tests.coverage_gate` that tests cover each branch.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "ssm_ssh"

PURE_PACKAGES = {"channel", "mux", "ssh", "names", "startup", "target", "text", "values"}
PURE_MODULES = {
    *("ssm_ssh.tunnel.login_outcome", "ssm_ssh.tunnel.login_wait", "ssm_ssh.relay.keepalive"),
    *("ssm_ssh.tunnel.login_watch", "ssm_ssh.tunnel.retry", "ssm_ssh.relay.backoff", "ssm_ssh.relay.states"),
    *(
        "ssm_ssh.tunnel.background",
        "ssm_ssh.tunnel.client_library",
        "ssm_ssh.tunnel.destination",
        "ssm_ssh.tunnel.explanations",
        "ssm_ssh.forward.specs",
    ),
    *("ssm_ssh.relay.reconnect", "ssm_ssh.relay.shutdown", "ssm_ssh.relay.outage_notice", "ssm_ssh.relay.unanswered"),
    *("ssm_ssh.locate.hostname", "ssm_ssh.locate.aliases", "ssm_ssh.locate.selection"),
    *("ssm_ssh.shell.escapes", "ssm_ssh.shell.modes", "ssm_ssh.shell.intent", "ssm_ssh.shell.commands"),
    "ssm_ssh.locate.query",
    *(
        "ssm_ssh.session.endings",
        "ssm_ssh.session.opening",
        "ssm_ssh.session.overview",
        "ssm_ssh.session.power",
        "ssm_ssh.cli.simple_arguments",
    ),
    "ssm_ssh.cli.picker_list",
    "ssm_ssh.aws.services.platform_users",
    *("ssm_ssh.doctor.blocks", "ssm_ssh.doctor.packet", "ssm_ssh.doctor.policy", "ssm_ssh.doctor.reach"),
    "ssm_ssh.doctor.vpc",
    *("ssm_ssh.command.frames", "ssm_ssh.command.progress", "ssm_ssh.command.script", "ssm_ssh.command.silence"),
    "ssm_ssh.doctor.causes",
}
# Not pure: frames draws its masks from os.urandom, and the relay's loop and link act on the world through arguments.
COVERED_TOO = {"ssm_ssh.transport.frames", "ssm_ssh.relay.link", "ssm_ssh.relay.loop"}


def is_pure(module: str) -> bool:
    """Return whether the module, by its dotted name, belongs to the pure part."""
    return module.partition(".")[2].partition(".")[0] in PURE_PACKAGES or module in PURE_MODULES


def covered_files() -> list[Path]:
    """Return the source files whose branches must all be covered."""
    return [file for file in sorted(PACKAGE.rglob("*.py")) if (name := _module(file)) in COVERED_TOO or is_pure(name)]


def test_files() -> list[Path]:
    """Return the test files of `covered_files`: tests/X/test_Y.py and tests/X/test_Y_*.py for ssm_ssh/X/Y.py."""
    files: set[Path] = set()
    for file in covered_files():
        folder = TESTS / file.relative_to(PACKAGE).parent
        files.update((*folder.glob(f"test_{file.stem}.py"), *folder.glob(f"test_{file.stem}_*.py")))
    return sorted(files)


def _module(file: Path) -> str:
    return ".".join(("ssm_ssh", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
