"""The sessions that programs of this machine have open: a private file for each, from StartSession to its end.

A process that is killed can end nothing. Its record stays, and tells the next run which session to end, and with whose
credentials. A session counts as left behind only if it was recorded here by a process of this machine, this boot and
this pid namespace that has ended. Homes may be shared: what another machine has recorded is never judged.

Files are named after the mark of their process (storage/process_mark.py), so that a run can look for sessions that
were left behind without opening a file. No record survives the boot it was made in, so none waits for the disk.
"""

from __future__ import annotations

import json
import os
import re
import time

from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage import process_mark
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.aws.config.settings import AwsSettings

FOLDER = "sessions"
_VERSION = 1
# Patterns are compiled where they are first used, because the start of a connection only writes.
_NAME = rf"({process_mark.PATTERN})\.[0-9a-f]{{16}}(\.tried)?"
# What StartSession names sessions: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
_SESSION_ID = r"[A-Za-z0-9=,.@_+:/-]{1,200}"
# Seconds until a session that could not be ended is tried again.
_PAUSE = 600.0
# Seconds after which a record means nothing any more: sessions last a day at most, whatever the account's settings.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-max-timeout.html
_KEPT = 2 * 86400.0
# The most records that are read. A machine with more has a fault elsewhere.
_MOST = 2000


class SessionRecord(NamedTuple):
    """A session as its process has recorded it. `started` is in epoch seconds; `name` is that of its file.

    `profile`: the one that was chosen by an option, "" where the environment decides. `credentials`: what
    `credential_fingerprint` makes of the settings. `left_behind`: whether its process is known to have ended.
    """

    session_id: str
    instance_id: str
    document: str
    purpose: str
    profile: str
    region: str
    credentials: str
    started: float
    host: str
    pid: int
    name: str
    left_behind: bool


def opened(
    session_id: str, instance_id: str, document: str, settings: AwsSettings, now: float, *, purpose: str = ""
) -> str:
    """Record a session that this process has started; returns the name of the record. Raises StateError."""
    from hashlib import sha256

    from ssm_ssh.aws.credentials.fingerprint import credential_fingerprint

    name = f"{process_mark.own()}.{sha256(session_id.encode()).hexdigest()[:16]}"
    content = {
        "version": _VERSION,
        "session_id": session_id,
        "instance_id": instance_id,
        "document": document,
        "purpose": purpose,
        "profile": settings.profile_name if settings.explicit_profile else "",
        "region": settings.region,
        "credentials": credential_fingerprint(settings),
        "started": now,
        "host": os.uname().nodename,
        "pid": os.getpid(),
    }
    with open_folder(folder_path()) as folder:
        folder.write(name, json.dumps(content).encode("ascii"), durable=False)
    return name


def closed(name: str) -> None:
    """Remove the record `name` of a session that has ended. Raises StateError."""
    with open_folder(folder_path()) as folder:
        folder.remove(name)


def tried(name: str) -> None:
    """Note that the session of record `name` could not be ended now. Raises StateError."""
    with open_folder(folder_path()) as folder:
        after = f"{name.removesuffix('.tried')}.tried"
        folder.replace(name, after)
        folder.set_modified(after, time.time())


def exists(name: str) -> bool:
    """Return whether the record `name` is there. Raises StateError."""
    with open_folder(folder_path()) as folder:
        return folder.modified(name) is not None


def left_behind(now: float) -> list[str]:
    """Return the names of the records whose sessions should be ended now; removes expired ones. Raises StateError."""
    names = []
    with open_folder(folder_path()) as folder:
        for name in folder.names():
            match = re.fullmatch(_NAME, name)
            if match is None:
                continue
            ended = _has_ended(match[1])
            if ended and match[2] is None:
                names.append(name)
                continue
            age = now - (folder.modified(name) or now)
            if age > _KEPT:
                folder.remove(name)
            elif ended and age > _PAUSE:
                names.append(name)
    return names


def read(name: str) -> SessionRecord | None:
    """Return the record `name`, None where there is none or it cannot be understood. Raises StateError."""
    match = re.fullmatch(_NAME, name)
    if match is None:
        return None
    with open_folder(folder_path()) as folder:
        values = json_object(folder.read(name) or b"") or {}
    texts = ("session_id", "instance_id", "document", "purpose", "profile", "region", "credentials", "host")
    started, pid = values.get("started"), values.get("pid")
    if values.get("version") != _VERSION or not all(isinstance(values.get(key), str) for key in texts):
        return None
    if (
        not isinstance(started, int | float)
        or not isinstance(pid, int)
        or not re.fullmatch(_SESSION_ID, values["session_id"])
    ):
        return None
    known = {key: values[key] for key in texts}
    return SessionRecord(**known, started=float(started), pid=pid, name=name, left_behind=_has_ended(match[1]))


def read_all() -> list[SessionRecord]:
    """Return all records, the oldest first; makes no folder. Raises StateError."""
    if not os.path.lexists(folder_path()):
        return []
    with open_folder(folder_path()) as folder:
        names = folder.names()[:_MOST]
    records = []
    for name in names:
        try:
            record = read(name)
        except StateError:  # one damaged file says nothing of the others
            continue
        if record is not None:
            records.append(record)
    return sorted(records, key=lambda record: record.started)


def folder_path() -> Path:
    """Return the folder of the records. Raises UsageError where there is no home."""
    return state_folder() / FOLDER


def _has_ended(mark: str) -> bool:
    # Without boots, the process could be one of an earlier boot, or of another machine of the same name.
    return process_mark.knows_boots() and process_mark.has_ended(mark) is True
