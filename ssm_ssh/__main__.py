"""`python -m ssm_ssh` is `ssm-ssh`."""

from ssm_ssh.cli.main import entry

entry()
