"""The faults that can be chosen by name when a lab starts (`ssm-ssh lab --fault`), and how they are written.

A fault is a cause, which has a name of its own here (`agent-down`), or one of `lab.faults.faults`,
`lab.machines.faults` and `lab.cloud.faults` with its parameters: `cut=100000,side=client`. The first value may be
written without its name.
Faults of an instance take `instance`, which is an id or a name such as web-1; without it they hold for every instance.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.lab.cloud.faults import FAULTS as CLOUD_FAULTS
from ssm_ssh.lab.cloud.faults import PREFERENCES
from ssm_ssh.lab.faults.faults import NAMES, Faults
from ssm_ssh.lab.machines.faults import FAULTS as INSTANCE_FAULTS
from ssm_ssh.suggest import did_you_mean, hint
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_INSTANCE = "instance"
# They undo other faults, and there are none when a lab starts.
_UNDO = frozenset({"start_agent", "start_instance", "start_sshd"})
# The parameters that a value without a name is for.
_FIRST = {
    **{"cut": "after", "delay": "seconds", "limit": "bytes_per_second", "stall": "side", "refuse": "status"},
    **dict.fromkeys(("lose", "lose_acks", "double", "reorder"), "probability"),
    **{
        "api": "operation",
        "throttle": "operation",
        "unreachable": "service",
        "deny": "action",
        "document": "document",
        "unfinished": "count",
    },
    **{"agent_quirk": "kind", "forge_console": "kind"},
}

# Of the parameters that must be given.
EXAMPLES = {
    "seconds": "0.2",
    "bytes_per_second": "50000",
    "action": "ssm:SendCommand",
    "service": "ssm",
    "document": "AWS-StartSSHSession",
}


class Cause(NamedTuple):
    """A reason why a connection fails, by its name in the world. `values` are those of the fault that makes it so.

    `more`: further faults that belong to it.
    """

    summary: str
    fault: str
    values: Mapping[str, Any] = {}
    more: tuple[tuple[str, Mapping[str, Any]], ...] = ()


# One for each cause that a user can meet. A new one needs a line here and nothing else.
CAUSES: dict[str, Cause] = {
    "agent-down": Cause("The agent does not run.", "kill_agent"),
    "agent-hung": Cause("The agent is online, and answers nothing.", "agent_quirk", {"kind": "hung"}),
    "instance-stopped": Cause("The instance is stopped.", "kill_instance"),
    "sshd-down": Cause("Nothing listens on the SSH port.", "stop_sshd"),
    "sshd-config": Cause("sshd does not run, for it cannot read its configuration.", "break_sshd_config"),
    "home-permissions": Cause("sshd refuses keys in homes to which others may write.", "open_homes"),
    "host-key-changed": Cause("sshd has new host keys that its console does not show.", "swap_host_key"),
    "instance-rebuilt": Cause("The instance was rebuilt and has new host keys.", "swap_host_key", {"console": True}),
    "eic-missing": Cause("The package ec2-instance-connect is not installed.", "ineffective_eic"),
    "eic-denied": Cause("EC2 Instance Connect is denied.", "deny", {"action": "ec2-instance-connect:SendSSHPublicKey"}),
    "commands-denied": Cause("Run Command is denied.", "deny", {"action": "ssm:SendCommand"}),
    "start-denied": Cause("Sessions cannot be started.", "deny", {"action": "ssm:StartSession"}),
    "channel-denied": Cause("Sessions cannot be opened.", "deny", {"action": "ssmmessages:OpenDataChannel"}),
    "ssm-unreachable": Cause("The endpoint of Systems Manager refuses connections.", "unreachable", {"service": "ssm"}),
    "eic-unreachable": Cause(
        "The endpoint of EC2 Instance Connect does not answer.",
        "unreachable",
        {"service": "ec2-instance-connect", "how": "silent"},
    ),
    "throttled": Cause("Every call is throttled.", "throttle", {"count": 0}),
    "slow-network": Cause("Each frame takes 0.3 to 0.4 s.", "delay", {"seconds": 0.3, "jitter": 0.1}),
    "lost-network": Cause("Connections to the gateway go silent.", "stall"),
    "hourly-bye": Cause(
        "The gateway closes each connection, here after 1 MB.", "cut", {"how": "bye", "every": 1 << 20}
    ),
    "instance-terminated": Cause("The instance is terminated.", "terminated"),
    "instance-pending": Cause("The instance has not started yet.", "pending"),
    "kms-denied": Cause(
        "Sessions are encrypted, and the key is denied.",
        "deny",
        {"action": "kms:GenerateDataKey", "policy": "identity-based policy"},
        more=((PREFERENCES, {"kmsKeyId": "alias/lab"}),),
    ),
    "logs-missing": Cause(
        "Sessions are to be logged, encrypted, to a log group that does not exist.",
        PREFERENCES,
        {"cloudWatchLogGroupName": "/session-manager/missing"},
    ),
    "run-as-missing": Cause(
        "Shells run as a user that the instance does not have.",
        PREFERENCES,
        {"runAsEnabled": True, "runAsDefaultUser": "operator"},
    ),
}


class Parameter(NamedTuple):
    """A parameter of a fault. `kind`: int, float, bool, str or list."""

    name: str
    kind: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    required: bool = False


class Chosen(NamedTuple):
    """A fault as it was chosen. `text`: how it was written; `instance`: "" for every instance."""

    text: str
    fault: str
    values: dict[str, Any]
    instance: str
    more: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @property
    def is_of_instance(self) -> bool:
        """True where the fault is one of an instance itself, or of its surroundings."""
        return self.fault in INSTANCE_FAULTS or self.fault in CLOUD_FAULTS


def names() -> list[str]:
    """Return the names of all faults as they are written, causes first."""
    return [*CAUSES, *sorted(name.replace("_", "-") for name in {*NAMES, *INSTANCE_FAULTS, *CLOUD_FAULTS} - _UNDO)]


def summary(name: str) -> str:
    """Return what the fault does, in one line."""
    if name in CAUSES:
        return CAUSES[name].summary
    inner = name.replace("-", "_")
    if inner in INSTANCE_FAULTS:
        return INSTANCE_FAULTS[inner].summary
    if inner in CLOUD_FAULTS:
        return CLOUD_FAULTS[inner].summary
    return (inspect.getdoc(getattr(Faults, inner)) or "").partition("\n")[0]


def inner_name(name: str) -> str:
    """Return the name of the fault in `Lab.fault`. Raises UsageError."""
    return _resolve(name)[0]


def reference(name: str) -> str:
    """Return what the fault does and its parameters, in several lines. Raises UsageError for an unknown name."""
    inner, fixed = _resolve(name)
    text = summary(name)
    if name not in CAUSES and inner in NAMES:
        text = inspect.getdoc(getattr(Faults, inner)) or ""
    lines = [
        f"  {parameter.name}={_shown(parameter)}" for parameter in parameters(inner) if parameter.name not in fixed
    ]
    return "\n".join([text, *lines])


def parameters(fault: str) -> list[Parameter]:
    """Return the parameters of a fault by its inner name, the first being the one that needs no name."""
    if fault in INSTANCE_FAULTS:
        choices = INSTANCE_FAULTS[fault].choices.items()
        own = [Parameter(name, "bool" if True in values else "str", values[0], values) for name, values in choices]
        listed = [*own, Parameter(_INSTANCE, "str", "")]
    elif fault in CLOUD_FAULTS:
        listed = [Parameter(_INSTANCE, "str", "")]
    elif fault == PREFERENCES:
        listed = []
    else:
        listed = [
            Parameter(
                item.name,
                "list" if "Sequence" in str(item.annotation) else str(item.annotation).partition(" ")[0],
                default=None if item.default is item.empty else item.default,
                required=item.default is item.empty,
            )
            for item in inspect.signature(getattr(Faults, fault)).parameters.values()
            if item.name != "self"
        ]
    first = _FIRST.get(fault, _INSTANCE)
    return sorted(listed, key=lambda parameter: parameter.name != first)


def parse(text: str) -> Chosen:
    """Return the fault that `NAME`, `NAME=VALUE` or `NAME=KEY=VALUE,...` names; a JSON object may follow the `=`.

    Raises UsageError for anything that cannot be, with what comes closest.
    """
    name, _, rest = text.partition("=")
    fault, fixed = _resolve(name)
    known = {parameter.name: parameter for parameter in parameters(fault) if parameter.name not in fixed}
    values = {**fixed}
    for key, value in _pairs(rest, next(iter(known), "")):
        if key not in known:
            shown = printable(key, 40)
            reason = f"the fault '{name}' has no parameter '{shown}'" if key else f"the fault '{name}' takes no value"
            raise UsageError(reason, hint(key, known, "Parameters"))
        values[key] = _converted(known[key], value, name)
    missing = next((key for key, parameter in known.items() if parameter.required and key not in values), "")
    if missing:
        raise UsageError(
            f"the fault '{name}' needs {missing}", f"For example: --fault {name}={EXAMPLES.get(missing, 'VALUE')}"
        )
    instance = ""
    if fault in INSTANCE_FAULTS or fault in CLOUD_FAULTS:
        instance = str(values.pop(_INSTANCE, ""))
        for parameter in known.values():
            if parameter.choices:
                values.setdefault(parameter.name, parameter.default)
    elif fault != PREFERENCES:
        Faults().fault(fault, **values)  # only to have it refused here
        instance = str(values.get(_INSTANCE, ""))
    more = CAUSES[name].more if name in CAUSES else ()
    return Chosen(text, fault, values, instance, more)


def calls(chosen: Chosen, instances: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and values for `Lab.fault`. `instances`: the names of the lab's instances by id.

    Raises UsageError for an instance that the lab does not have.
    """
    ids = [key for key, name in instances.items() if chosen.instance in (key, name)]
    if chosen.instance and not ids:
        raise UsageError(
            f"the lab has no instance '{printable(chosen.instance, 40)}'",
            hint(chosen.instance, instances.values(), "Instances"),
        )
    if chosen.is_of_instance:
        prefix = CLOUD_FAULTS[chosen.fault].prefix if chosen.fault in CLOUD_FAULTS else ""
        able = [key for key in ids or instances if key.startswith(prefix)]
        if not able:
            name = chosen.text.partition("=")[0]
            raise UsageError(f"no instance that is meant can have the fault '{name}'", f"It is for {prefix}... only")
        return [(chosen.fault, {**chosen.values, "instance_id": key}) for key in able]
    values = {**chosen.values, _INSTANCE: ids[0]} if chosen.instance else chosen.values
    return [(chosen.fault, dict(values)), *((fault, dict(more)) for fault, more in chosen.more)]


def _resolve(name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the inner name of a fault, and the values that its name implies. Raises UsageError."""
    if name in CAUSES:
        return CAUSES[name].fault, CAUSES[name].values
    inner = name.replace("-", "_")
    if inner in {*NAMES, *INSTANCE_FAULTS, *CLOUD_FAULTS} - _UNDO:
        return inner, {}
    question = did_you_mean(name, names()) or "For a list: ssm-ssh lab --fault help"
    raise UsageError(f"there is no fault '{printable(name, 40)}'", question)


def _pairs(text: str, first: str) -> Iterable[tuple[str, Any]]:
    if text.startswith("{"):
        try:
            return list(dict(json.loads(text)).items())
        except (ValueError, TypeError):
            raise UsageError(f"not a JSON object: {printable(text, 80)}") from None
    pieces = [piece.partition("=") for piece in text.split(",") if piece]
    return [(key.replace("-", "_"), value) if equals else (first, key) for key, equals, value in pieces]


def _converted(parameter: Parameter, value: Any, name: str) -> Any:  # noqa: ANN401 -- JSON values
    """Return `value` with the type of `parameter`. Raises UsageError."""
    out = value
    try:
        if parameter.kind == "list":
            out = value.split("+") if isinstance(value, str) else list(value)
        elif parameter.kind == "bool" and isinstance(value, str):
            out = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        elif parameter.kind in ("int", "float"):
            out = int(value) if parameter.kind == "int" else float(value)
    except (KeyError, ValueError, TypeError):
        wanted = {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(parameter.kind, "a list")
        raise UsageError(
            f"the fault '{name}': {parameter.name} cannot be '{printable(str(value), 40)}'", f"Use {wanted}"
        ) from None
    if parameter.choices and out not in parameter.choices:
        allowed = [str(choice) for choice in parameter.choices]
        raise UsageError(
            f"the fault '{name}': {parameter.name} cannot be '{printable(str(value), 40)}'",
            hint(str(value), allowed, "Allowed"),
        )
    return out


def _shown(parameter: Parameter) -> str:
    if parameter.choices:
        return "|".join(str(choice).lower() for choice in parameter.choices)
    if parameter.default in (None, "", ()):
        return parameter.kind.upper()
    return str(parameter.default).lower()


def listing(width: int = 22) -> Sequence[str]:
    """Return the list of all faults, a line each, for `--fault help`."""
    return [f"  {name:<{width}}{summary(name)}" for name in names()]
