"""The host keys in an instance's /etc/ssh, read by Run Command: they are only as trustworthy as the agent there."""

from __future__ import annotations

import os

from ssm_ssh.errors import CommandFailed
from ssm_ssh.ssh.hostkey import Shown, from_line
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api

# Each file is printed between two lines that its author cannot predict, and a last line marks complete output.
_SCRIPT = """\
for file in /etc/ssh/ssh_host_*_key.pub; do
  [ -f "$file" ] || continue
  echo 'MARK begin'
  cat "$file"
  echo
  echo 'MARK end'
done
echo 'MARK done'
"""


def host_keys(api: Api, instance_id: str, *, timeout: float, document: str = "") -> Shown:
    """Return the host keys in the files of `instance_id`, within `timeout` seconds.

    `document` is the command document for pushing keys (remote.document), "" for AWS-RunShellScript. Raises
    CommandFailed and what run_command.run_document raises.
    """
    from ssm_ssh.aws.services.run_command import SHELL_DOCUMENT, run_document, run_script

    random = os.urandom(16).hex()
    mark = f"ssm-ssh-{random}"
    about = "ssm-ssh: read the public host keys"
    if document in ("", SHELL_DOCUMENT):
        output = run_script(api, instance_id, _SCRIPT.replace("MARK", mark), timeout=timeout, comment=about)
        hint = "Check that /etc/ssh exists there"
    else:
        from ssm_ssh.remote.script import host_keys_request

        data = {"Data": host_keys_request(random)}
        output = run_document(api, instance_id, document, data, timeout=timeout, comment=about)
        hint = f"Update the document {document}, which may be an older one: see docs/push-document.md"
    if output.exit_code or f"{mark} done\n" not in output.stdout:
        raise CommandFailed(f"the script that reads the host keys of {instance_id} failed", hint)
    return read(output.stdout, mark)


def read(output: str, mark: str) -> Shown:
    """Return the keys in `output`. Each file must be one line with one plain key; otherwise none of them counts."""
    keys = set()
    for piece in output.split(f"{mark} begin\n")[1:]:
        content, end, _ = piece.partition(f"\n{mark} end\n")
        key = from_line(content.removesuffix("\n").removesuffix("\r")) if end else None
        if key is None:
            return Shown(frozenset(), "one of its host key files is malformed")
        keys.add(key)
    return Shown(frozenset(keys))
