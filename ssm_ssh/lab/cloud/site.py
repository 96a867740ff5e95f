"""What AWS knows of one instance besides its state: where it is, its network, its role, and its registration."""

from __future__ import annotations

import hashlib

from ssm_ssh.lab.cloud.network import Network
from ssm_ssh.lab.cloud.role import EC2, SSM, Role

# Where an instance is that the lab's region does not have.
OTHER_REGION = "eu-west-1"


class Site:
    """One instance's surroundings. A fault changes them; a new one is as it was before.

    `region` is where the instance is. `foreign`: another account has it. `registered`: its agent has registered.
    """

    def __init__(self, instance_id: str, address: str, *, region: str, account: str) -> None:
        hybrid = instance_id.startswith("mi-")
        self.region = region
        self.foreign = False
        self.registered = True
        self.system_status = self.instance_status = "ok"
        self.network = None if hybrid else Network(instance_id, address, region=region, account=account)
        self.role = Role(account, service=SSM if hybrid else EC2)
        self.activation_id = hashlib.sha256(instance_id.encode()).hexdigest()[:8] + "-0000-4000-8000-000000000000"
        self.activation_expired = False
        self.standard_tier = False

    @property
    def vpc(self) -> Network:
        """The network of an EC2 instance. Raises LookupError for a managed node."""
        if self.network is None:
            raise LookupError("a managed node has no network that EC2 knows")
        return self.network
