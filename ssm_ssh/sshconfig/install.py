"""One change of ssh's configuration: read, compose, prove, write, check again, roll back.

Order of writing: ssm-ssh's file before the line that includes it, and the line is removed before the file, so that a
process that is killed in between leaves a configuration with the meaning of the old or of the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.sshconfig import effective, include, lint, managed_file, own_names
from ssm_ssh.sshconfig.atomic_replace import Seen, check_replaceable, look, remove, replace, sweep
from ssm_ssh.sshconfig.managed_file import MARK, Managed, Stored
from ssm_ssh.sshconfig.parser import host_names, scan
from ssm_ssh.sshconfig.patterns import is_ours
from ssm_ssh.sshconfig.proof_folder import proof_folder, write_private
from ssm_ssh.storage import trouble
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssm_ssh.sshconfig.effective import Outcome, Ssh
    from ssm_ssh.sshconfig.lint import Note
    from ssm_ssh.sshconfig.locations import Place
    from ssm_ssh.sshconfig.parser import Directive

# Hosts that ssh is asked about once more after the change, when it reads the real files.
_LOOKED_AT_AGAIN = 40


class Plan(NamedTuple):
    """The present and the new content of both files; None: no file."""

    config: Seen
    managed: Seen
    new_config: bytes | None
    new_managed: bytes | None

    @property
    def changes(self) -> list[tuple[Seen, bytes | None]]:
        """Return the files that change, in the order in which they are written."""
        files = [(self.managed, self.new_managed), (self.config, self.new_config)]
        if self.new_managed is None:
            files.reverse()
        return [(seen, new) for seen, new in files if seen.content != new]


class Done(NamedTuple):
    """What was done, or would be. `backup`: the copy of the user's file as it was before.

    `names` are the user's own names for instances that our rules take.
    """

    plan: Plan
    notes: list[Note]
    hosts: int
    backup: Path | None
    names: tuple[str, ...] = ()


def stored(plan_config: Seen, plan_managed: Seen) -> Stored:
    """Return what ssm-ssh's file, or its block, stores."""
    text = include.block_in(plan_config.text) if include.has_block(plan_config.text) else plan_managed.text
    return managed_file.read((text or b"").decode("utf-8", "surrogateescape"))


def set_up(
    place: Place,
    ssh: Ssh,
    compose: Callable[[Stored], Managed],
    *,
    inline: bool | None = None,
    dry_run: bool = False,
    respell: bool = True,
) -> Done:
    """Make ssh use what `compose` returns when given what is stored; `inline` None: as it is now.

    Without `respell`, the line of an older version in the user's file stays as it is.

    Raises UsageError for a configuration that cannot be changed safely, StateError when the change had another
    effect than the proof said (it has been rolled back), or the file was changed meanwhile.
    """
    made = set() if place.folder.exists() else {"folder"}
    if made and not dry_run:
        try:
            place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise trouble.cannot_use(place.folder, error, what="the folder ") from error
    with _locked(place):
        config, own = look(place.config), _own(place)
        check_replaceable(config)
        before = stored(config, own)
        if config.content is None:
            made.add("config")
        wanted = compose(before)
        directives = scan(place.config, place.folder, skip=place.managed)
        line = include.include_line(str(place.managed))
        rest = include.without(config.text, line)
        names = own_names.adopted(place, ssh, rest, directives, wanted.suffixes)
        wanted = wanted._replace(made=wanted.made | before.made | made, names=names)
        text = managed_file.render(wanted).encode("utf-8", "surrogateescape")
        if include.has_block(config.text) if inline is None else inline:
            # Sections of the user's that include our file go on doing so.
            separate = text if own_names.attached(place, directives) else None
            plan = Plan(config, own, include.put_block(config.text, text, line), separate)
        else:
            plan = Plan(config, own, include.put_line(config.text, line, respell=respell), text)
        return _change(_Home(place, ssh, directives, before), plan, wanted, dry_run=dry_run)


def uninstall(place: Place, ssh: Ssh, *, dry_run: bool = False) -> Done:
    """Remove everything of ssm-ssh; what setup had to make goes too, if it is still empty."""
    if not place.folder.is_dir():
        nothing = Seen(place.config, place.config, None, None)
        return Done(Plan(nothing, nothing, None, None), [], 0, None)
    with _locked(place):
        config, own = look(place.config), _own(place)
        before = stored(config, own)
        new: bytes | None = include.without(config.text, include.include_line(str(place.managed)))
        if config.content is None or (not new and "config" in before.made):
            new = None
        if new != config.content:
            check_replaceable(config)
        directives = scan(place.config, place.folder, skip=place.managed)
        done = _change(_Home(place, ssh, directives, before), Plan(config, own, new, None), None, dry_run=dry_run)
        if "folder" in before.made and not dry_run:
            with contextlib.suppress(OSError):  # it holds something by now
                place.folder.rmdir()
        return done


def _own(place: Place) -> Seen:
    own = look(place.managed)
    if place.managed.is_symlink() or (own.text and not own.text.startswith(MARK.encode())):
        raise UsageError(f"{place.managed} was not made by ssm-ssh", "Move it away, and run this again")
    check_replaceable(own)
    return own


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """Exclude other processes by a lock on the folder itself, which leaves no file behind."""
    try:
        fd = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # a dry run
        yield
        return
    except OSError as error:
        raise UsageError(f"cannot use {place.folder}: {error.strerror}") from error
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise UsageError(f"{place.folder} belongs to another user", "Run ssm-ssh as yourself, without sudo")
        with contextlib.suppress(OSError):  # a file system without locks: the comparison before the exchange remains
            fcntl.flock(fd, fcntl.LOCK_EX)
        for folder in {place.folder, Path(os.path.realpath(place.config)).parent}:
            sweep(folder)
        yield
    finally:
        os.close(fd)


class _Home(NamedTuple):
    """Whose configuration changes: what it says (`directives`, without ours), and what our file stored before."""

    place: Place
    ssh: Ssh
    directives: list[Directive]
    before: Stored

    def users(self, wanted: Managed | None) -> Callable[[str], bool]:
        """Return what says of a host whether the user's own words may make it use our rules, old or `wanted`."""
        sections = own_names.attached(self.place, self.directives)
        names = {name.lower() for name in (*self.before.names, *(wanted.names if wanted else ()))}
        return lambda host: host.lower() in names or any(section.applies_to(host) for section in sections)


def _change(home: _Home, plan: Plan, wanted: Managed | None, *, dry_run: bool) -> Done:
    place, ssh, directives, _ = home
    may_use = home.users(wanted)
    names = [name for name in host_names(directives) if not is_ours(name, wanted.suffixes if wanted else ())]
    # `Host *` is proved by the name x, and names nothing: an alias may be called so.
    aliases = {alias.name.lower() for alias in (*home.before.aliases, *(wanted.aliases if wanted else ()))}
    names = [name for name in names if name.strip("x") or name not in aliases]
    foreign = effective.some_of(list(dict.fromkeys([*effective.STANDARD, *names])))
    again = list(dict.fromkeys([*effective.STANDARD, *effective.some_of(names, _LOOKED_AT_AGAIN)]))
    first = ssh.ask(effective.STANDARD[0])
    reason = effective.rejected(first)
    if reason and (wanted is not None or not plan.changes):
        raise UsageError(
            f"ssh does not accept its configuration as it is, so nothing was changed: {reason}", "Correct it"
        )
    if reason:  # what cannot be compared can still be removed
        return Done(plan, [], 0, None if dry_run else _write(plan))
    before = ssh.ask_all(again) if plan.changes else {}
    reference = None
    if plan.changes:
        reference = _prove(home, plan, wanted, foreign)
    backup = None
    if plan.changes and not dry_run:
        backup = _write(plan)
        try:
            _look_again(ssh, before, wanted, reference, may_use)
        except SsmSshError:
            _roll_back(plan)
            raise
    told: list[Note] = []
    if wanted is not None and (not plan.changes or not dry_run):
        told = lint.notes(place, directives, ssh.ask(effective.IDS[0]), ssh.ask(effective.IDS[2]), wanted.names)
    return Done(plan, told, len(foreign), backup, wanted.names if wanted else ())


def _prove(home: _Home, plan: Plan, wanted: Managed | None, foreign: list[str]) -> dict[str, Outcome]:
    """Compare the old and the new configuration in copies; returns what the rules alone mean for instances."""
    place, ssh, may_use = home.place, home.ssh, home.users(wanted)
    with proof_folder() as folder:
        system = ssh.system_file()
        own = folder / "managed"
        line, stand_in = (include.include_line(str(path)) for path in (place.managed, own))
        new = plan.new_config or b""
        files = {
            "before": plan.config.text,
            "after": include.put_line(include.without(new, line), stand_in) if include.has_line(new, line) else new,
        }
        for name, content in files.items():
            write_private(folder / f"{name}.user", content)
            write_private(folder / name, effective.wrapper(folder / f"{name}.user", system).encode())
        if plan.new_managed is not None:
            write_private(own, plan.new_managed)
        before, after = (ssh.ask_all(foreign, folder / name) for name in files)
        wrong = effective.differences(before, after, may_use)
        if wrong:
            # A host whose old result varies between two runs (a Match exec that reads the clock) proves nothing.
            unsteady = effective.differences(before, ssh.ask_all(foreign, folder / "before"))
            varying = {line.split(":")[0] for line in unsteady}
            wrong = [line for line in wrong if line.split(":")[0] not in varying]
        if wrong:
            raise StateError(f"the change would affect other hosts, so nothing was changed: {wrong[0]}")
        if wanted is None:
            return {}
        alone = folder / "alone"
        write_private(alone, managed_file.render(wanted).encode("utf-8", "surrogateescape"))
        ours = _ours(wanted)
        reference = ssh.ask_all(ours, alone)
        _check_ours(wanted, reference, ssh.ask_all(ours, folder / "after"))
        return reference


def _ours(wanted: Managed) -> list[str]:
    aliases = [alias.name for alias in wanted.aliases]
    return [
        *effective.IDS,
        *effective.some_of(aliases, _LOOKED_AT_AGAIN),
        *effective.some_of(wanted.names, _LOOKED_AT_AGAIN),
    ]


def _check_ours(wanted: Managed, reference: dict[str, Outcome], real: dict[str, Outcome]) -> None:
    for host, meant in reference.items():
        for outcome in (meant, real[host]):
            reason = effective.rejected(outcome)
            if reason:
                raise StateError(f"ssh does not accept the new configuration, so nothing was changed: {reason}")
        names = {alias.name: alias.instance_id for alias in wanted.aliases}
        if meant.value("hostname") != names.get(host, host.lower()) or "proxy" not in meant.value("proxycommand"):
            raise StateError(f"ssh would not treat {host} as an instance, so nothing was changed")
        if host in wanted.names and not is_ours(real[host].value("hostname"), wanted.suffixes):
            raise StateError(f"ssh would not treat {host} as an instance, so nothing was changed")
        wrong = effective.unmet(wanted, meant, real[host], named=host in wanted.names)
        if wrong:
            raise StateError(
                f"ssh would not apply the intended options to {host}, so nothing was changed: {', '.join(wrong)}"
            )


def _look_again(
    ssh: Ssh,
    before: dict[str, Outcome],
    wanted: Managed | None,
    reference: dict[str, Outcome] | None,
    may_use: Callable[[str], bool],
) -> None:
    """Ask ssh again, now that the files are in place; raises StateError where the result is not the proved one."""
    after = ssh.ask_all(before)
    wrong = effective.differences(before, after, may_use)
    if wrong and effective.differences(after, ssh.ask_all(before)):
        wrong = []  # the results vary without any change
    if wrong:
        raise StateError(f"the change affected other hosts, so it was reverted: {wrong[0]}")
    if wanted is not None and reference:
        real = ssh.ask_all(reference)
        for host, meant in reference.items():
            reason = effective.rejected(real[host]) or ", ".join(
                effective.unmet(wanted, meant, real[host], named=host in wanted.names)
            )
            if reason:
                raise StateError(
                    f"the change had no effect on ssh, so it was reverted: {host}: {reason}",
                    "Check whether the first ssh on your PATH reads another configuration",
                )


def _write(plan: Plan) -> Path | None:
    """Write the changed files; returns the copy of the user's file as it was before."""
    backup = None
    if plan.config.content is not None and plan.config.content != plan.new_config:
        # Two names, so that the copy from before setup outlives later changes.
        ours = include.is_ours(plan.config.content, str(plan.managed.path))
        name = "ssh_config.before-change" if ours else "ssh_config.before-setup"
        with open_folder(state_folder()) as state:
            state.write(name, plan.config.content)
            backup = state.path / name
    written: list[tuple[Seen, bytes | None]] = []
    try:
        for seen, content in plan.changes:
            if content is None:
                remove(seen)
            else:
                replace(seen, content)
            written.append((seen, content))
    except SsmSshError:
        _undo(written)
        raise
    return backup


def _roll_back(plan: Plan) -> None:
    _undo(plan.changes)


def _undo(written: list[tuple[Seen, bytes | None]]) -> None:
    """Restore the previous contents in reverse order, except where a file has changed since."""
    for seen, content in reversed(written):
        now = look(seen.path)
        if now.content != content:
            continue
        if seen.content is None:
            remove(now)
        else:
            # This also restores the mode of a removed file.
            replace(now._replace(status=now.status), seen.content)
