"""Ends the sessions that killed processes have left behind: a program of its own, started by session/guard.py.

`python -I -m ssm_ssh.session.reaper [RECORD]`: RECORD names the record of a process that is certain to have ended.
Processes that were killed together have a reaper each; they work one after the other, and the first does most.
"""

from __future__ import annotations

import os
import sys
import time

from ssm_ssh.errors import CredentialsError, NetworkError, SsmSshError, Throttled, UsageError
from ssm_ssh.log import open_log
from ssm_ssh.session import records
from ssm_ssh.storage.private_dir import open_folder

# Seconds for TerminateSession with all retries.
_LIMIT = 25.0
# Errors after which another attempt may succeed.
_PASSING = (NetworkError, CredentialsError, Throttled, UsageError)


def main(arguments: list[str]) -> None:
    """End the sessions; the log has the results. Raises StateError."""
    with open_folder(records.folder_path()) as folder, folder.lock(".lock"):
        own = [name for name in arguments[:1] if records.exists(name)]
        if arguments and not own:
            return
        for name in dict.fromkeys([*own, *records.left_behind(time.time())]):
            _end(name)


def _end(name: str) -> None:
    record = records.read(name)
    if record is None:
        records.closed(name)
        return
    log = open_log(None, debug=False, subject=record.instance_id)
    try:
        if terminate(record):
            log.info(f"session {record.session_id} terminated: its process {record.pid} was killed")
        else:
            log.info(f"session {record.session_id} of killed process {record.pid} needs the credentials that began it")
            records.tried(name)
            return
    except SsmSshError as error:
        log.info(f"session {record.session_id} of killed process {record.pid} not terminated: {error.sentence()}")
        if isinstance(error, _PASSING):
            records.tried(name)
            return
    records.closed(name)


def terminate(record: records.SessionRecord) -> bool:
    """End the session of `record` at AWS; returns False where today's credentials may be of another account.

    Raises what Api.call and `load` raise.
    """
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import load
    from ssm_ssh.aws.credentials.fingerprint import credential_fingerprint
    from ssm_ssh.aws.credentials.source import CredentialSource
    from ssm_ssh.aws.services.sessions import terminate_session

    settings = load(profile=record.profile, region=record.region, env=os.environ)
    # A login tool may have put new keys under the name of a profile meanwhile; they are of the same account.
    if not record.profile and credential_fingerprint(settings) != record.credentials:
        return False
    credentials = CredentialSource(settings, may_ask=False)
    credentials.get()  # before the time limit of the call
    api = Api(settings, credentials=credentials)
    terminate_session(api, record.session_id, deadline=time.monotonic() + _LIMIT)
    return True


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SsmSshError as failure:
        open_log(None, debug=False, subject="sessions").info(f"not ended: {failure.sentence()}")
