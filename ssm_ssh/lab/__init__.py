"""An AWS of one's own on loopback, to try, test and demonstrate without an account."""

from __future__ import annotations

from ssm_ssh.lab.client import Lab, LabInstance
from ssm_ssh.lab.options import InstanceOptions, LabOptions, some_instances

__all__ = ["InstanceOptions", "Lab", "LabInstance", "LabOptions", "some_instances"]
