"""The least-privilege command document: the script with one parameter, for users who may not run arbitrary commands."""

from __future__ import annotations

import json

from ssm_ssh.remote.script import script

NAME = "SsmSsh-PushKey"
# The only parameter is base64 (see script.request), so it cannot end the quotes around it.
_PARAMETER = "{{ Data }}"
_PATTERN = "^[A-Za-z0-9+/]{1,12000}={0,2}$"


def document() -> str:
    """Return the document as JSON, for `aws ssm create-document --document-type Command`.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html
    """
    return (
        json.dumps(
            {
                "schemaVersion": "2.2",
                "description": "ssm-ssh: let a key in for at most ten minutes, take it out, or tell the host keys",
                "parameters": {
                    "Data": {
                        "type": "String",
                        "description": "base64 of: ACTION USER KEY-TYPE KEY ID SECONDS FLAGS, or of: host-keys MARK",
                        "allowedPattern": _PATTERN,
                    }
                },
                "mainSteps": [
                    {
                        "action": "aws:runShellScript",
                        "name": "PushKey",
                        "precondition": {"StringEquals": ["platformType", "Linux"]},
                        "inputs": {"timeoutSeconds": "90", "runCommand": script(_PARAMETER).rstrip("\n").split("\n")},
                    }
                ],
            },
            indent=2,
        )
        + "\n"
    )
