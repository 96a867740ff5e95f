"""The layers of the package, top to bottom: one table for the architecture test and the picture in ARCHITECTURE.md.

A unit is a package or module right below ssm_ssh, or right below its packages aws and lab. It may import from units of
its own layer, without a cycle, and from layers below. `python -m tests.layers` updates the picture.
"""

from __future__ import annotations

from pathlib import Path

ARCHITECTURE = Path(__file__).parents[1] / "ARCHITECTURE.md"
BEGIN, END = "<!-- layers: begin -->", "<!-- layers: end -->"

LAYERS: tuple[dict[str, str], ...] = (
    {"__main__": "`python -m ssm_ssh`"},
    {"cli": "one module per command; the only package that prints or exits"},
    {
        "lab": "a simulated AWS on loopback, for tests and demonstrations",
        "lab.client": "starts, uses and stops a lab",
        "lab.demo": "`ssm-ssh lab --demo`",
    },
    {"lab.__main__": "the server process"},
    {
        "lab.server": "one lab, from its first file to its last",
        "lab.control": "remote control for the lab's owner",
        "lab.named_faults": "the faults that can be chosen on the command line",
    },
    {
        "lab.api": "AWS's APIs, one module a service",
        "lab.gateway": "the message gateway: data and control channels",
        "lab.machines": "instances, and operations on them",
    },
    {
        "lab.folder": "the files of a lab's folder",
        "lab.environment": "the environment variables of a lab",
        "lab.shell": "the user's shell in a lab",
    },
    {
        "lab.agent": "the SSM agent",
        "lab.login": "IAM Identity Center and console sign-in",
        "lab.sshd": "OpenSSH's server, or one embedded",
    },
    {"lab.faults": "faults on request"},
    {"lab.wire": "formats that several parts share"},
    {
        "lab.process": "ends all processes with their lab",
        "lab.accounts": "the users of instances",
    },
    {"lab.state": "the state of a lab"},
    {
        "lab.cloud": "networks, roles and registrations of instances",
        "lab.identity": "credentials, signatures and the certificate authority",
        "lab.options": "the configuration of a lab",
        "lab.hidden_programs": "programs hidden from a lab",
    },
    {"doctor": "checks that return findings: what `status` prints"},
    {
        "tunnel": "one SSH connection on a session",
        "shell": "an interactive shell on a session",
        "command": "one command on a session",
        "forward": "listeners, and connections forwarded on a session",
        "sshconfig": "the user's ssh configuration, changed safely",
    },
    {
        "session": "a Session Manager session, from StartSession to an open data channel",
        "auth": "gets our public key accepted by the instance",
    },
    {
        "hostkeys": "verifies the server's host key",
        "locate": "which instance, account and region a name means",
    },
    {"aws.services": "one module for each task of an AWS service", "aws.login": "SSO and sign-in"},
    {"aws.api": "signed calls with deadlines, retries and clear errors"},
    {"aws.credentials": "providers of credentials"},
    {"aws": "the only package that knows AWS", "aws.config": "the shared files, profiles, regions and endpoints"},
    {"relay": "the loop between local descriptors and a session, whatever the session is for"},
    {"settings": "settings and their origins", "log": "one printable line per event"},
    {"storage": "private files and folders"},
    {
        "channel": "PURE: AgentMessage, handshake, sequence, retransmission",
        "mux": "PURE: the streams of a port forward",
        "ssh": "PURE: the clear beginning of an SSH connection",
        "transport": "TCP, proxies, TLS, WebSocket",
        "remote": "the script that Run Command runs",
    },
    {
        "target": "PURE: the instance that a session goes to",
        "values": "PURE: values from outside, read with the type that is wanted",
        "names": "PURE: what names of instances, users, regions and documents look like",
        "installation": "how this program is started by others",
        "install_hints": "how it was installed, for hints",
        "errors": "every error that a user can see",
        "startup": "PURE: stand-ins for what makes a start slow",
        "random_numbers": "random numbers",
        "suggest": "PURE: suggestions for mistyped words",
        "text": "PURE: makes untrusted text printable",
        "__init__": "the version",
    },
)


def picture() -> str:
    """Return the layers as ARCHITECTURE.md shows them: a line for each unit, a blank line between layers."""
    width = max(len(unit) for layer in LAYERS for unit in layer) + 2
    layers = ["\n".join(f"{unit:{width}}{purpose}" for unit, purpose in layer.items()) for layer in LAYERS]
    return "```\n" + "\n\n".join(layers) + "\n```"


def with_picture(text: str) -> str:
    """Return the text of ARCHITECTURE.md with today's picture between its markers."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{picture()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    ARCHITECTURE.write_text(with_picture(ARCHITECTURE.read_text(encoding="utf-8")), encoding="utf-8")
