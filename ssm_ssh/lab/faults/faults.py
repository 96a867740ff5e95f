# Over 350 lines: the methods of one class are the names of all faults, and their docstrings are the reference.
"""Faults of the gateway and the API, which ask this module before they act.

A fault is a name and JSON values: `faults.fault("cut", side="client", after=100_000)`. The methods of `Faults` are the
names; their parameters and docstrings are the reference. These selectors are common to all that touch a session:

session, instance   only this session or this instance (empty: all)
direction           "up" (client to agent), "down" (agent to client) or "both"
count               how often it happens before the fault is used up (0: until it is cleared)

Chance is drawn from a generator of the fault's own, seeded by `seed` and the order of the faults: a run repeats.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.lab.faults.choices import (
    CUT_METHODS,
    CUT_MOMENTS,
    DIRECTIONS,
    DOCUMENT_FAULTS,
    OUTAGES,
    POLICIES,
    SERVICES,
    SIDES,
    check_choice,
)
from ssm_ssh.lab.faults.plan import Plan, Rule
from ssm_ssh.lab.wire.message import ACKNOWLEDGE


class ApiFault(NamedTuple):
    """What the API answers instead: HTTP `status`, AWS error `code` and `message`, after `delay` seconds.

    An empty code: the call goes on after the delay. `drip`: seconds between two bytes of the answer.
    """

    status: int
    code: str
    message: str
    delay: float
    drip: float


class Faults:
    """All faults in force. `seed` makes chance repeat; `version` changes whenever the faults do."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._rules: list[Rule] = []
        self._number = 0
        self._listeners: list[Callable[[Rule], None]] = []
        self.version = 0

    # Setting and clearing

    def fault(self, name: str, **values: Any) -> int:  # noqa: ANN401 -- JSON values
        """Put one fault in force and return its number. Raises UsageError for an unknown name or parameter."""
        if name not in NAMES:
            raise UsageError(f"{name!r} is not a fault", f"Use one of: {', '.join(sorted(NAMES))}")
        method = getattr(self, name)
        try:
            bound = inspect.signature(method).bind(**values)
        except TypeError as error:
            raise UsageError(f"{name}: {error}") from None
        bound.apply_defaults()
        number: int = method(**bound.arguments)
        return number

    def clear(self, number: int | None = None) -> None:
        """End one fault, or all. Stalled sockets go on from where they stood."""
        for rule in self._rules:
            if number in (None, rule.number):
                rule.done = True
        self._rules = [rule for rule in self._rules if not rule.done]
        self.version += 1
        self._tell(Rule(0, "clear", {}, random.Random(0)))  # noqa: S311

    def in_force(self) -> list[dict[str, Any]]:
        """Return the faults in force as JSON values, with `number`, `name`, how often each happened (`hits`)."""
        return [
            {"number": rule.number, "name": rule.name, "hits": rule.hits, **rule.values}
            for rule in self._rules
            if not rule.done
        ]

    def listen(self, listener: Callable[[Rule], None]) -> None:
        """Call `listener` with each fault that is set; it carries out what happens at once (cut now, stall)."""
        self._listeners.append(listener)

    def _tell(self, rule: Rule) -> None:
        for listener in self._listeners:
            listener(rule)

    def _add(self, name: str, values: dict[str, Any], *, count: int = 0) -> int:
        self._number += 1
        rng = random.Random(f"{self._seed}:{self._number}:{values.get('seed', 0)}")  # noqa: S311 -- chance that repeats
        rule = Rule(self._number, name, values, rng, left=count)
        self._rules.append(rule)
        self.version += 1
        self._tell(rule)
        return rule.number

    # The faults

    def cut(
        self,
        *,
        side: str = "client",
        when: str = "",
        after: int = 0,
        every: int = 0,
        direction: str = "both",
        payload_type: int = 6,
        mid_frame: bool = False,
        how: str = "reset",
        session: str = "",
        instance: str = "",
        count: int = 1,
    ) -> int:
        """Cut the socket of one `side` (or "both").

        when: "now" (the default), "bytes" (implied by `after` or `every`: frame bytes relayed in `direction`, counted
        for each session), "handshake" (when the message with `payload_type` comes by; 5 request, 6 response, 7
        complete), "open" (a client or agent has shown its token) or "resume" (a client has, for the second time or
        later).
        mid_frame: the side that is cut gets a part of the frame first. The frame at the cut is lost either way.
        how: "reset" (TCP RST), "eof" (the connection ends without a close frame) or "bye" (close frame 1000 "Bye", as
        the service sends it about once an hour). `every` repeats until cleared, `after` with count=0 cuts each session
        once.
        """
        when = when or ("bytes" if after or every else "now")
        check_choice("side", side, SIDES)
        check_choice("when", when, CUT_MOMENTS)
        check_choice("how", how, CUT_METHODS)
        check_choice("direction", direction, DIRECTIONS)
        values = {key: value for key, value in locals().items() if key not in ("self", "count")}
        return self._add("cut", values, count=0 if every else count)

    def delay(
        self, *, seconds: float, jitter: float = 0.0, direction: str = "both", session: str = "", instance: str = ""
    ) -> int:
        """Delay each frame by `seconds` plus up to `jitter`; the order stays."""
        check_choice("direction", direction, DIRECTIONS)
        return self._add("delay", {key: value for key, value in locals().items() if key != "self"})

    def limit(self, *, bytes_per_second: int, direction: str = "both", session: str = "", instance: str = "") -> int:
        """Limit the frame bytes per second, for each session and direction."""
        check_choice("direction", direction, DIRECTIONS)
        if bytes_per_second <= 0:
            raise UsageError("bytes_per_second must be positive")
        return self._add("limit", {key: value for key, value in locals().items() if key != "self"})

    def _choice(self, name: str, values: dict[str, Any], count: int) -> int:
        check_choice("direction", values["direction"], DIRECTIONS)
        values["types"] = [values["types"]] if isinstance(values["types"], str) else list(values["types"])
        return self._add(name, values, count=count)

    def lose(
        self,
        *,
        probability: float = 1.0,
        types: Sequence[str] = (),
        payload_type: int | None = None,
        direction: str = "both",
        session: str = "",
        instance: str = "",
        count: int = 0,
        seed: int = 0,
    ) -> int:
        """Lose frames, each with `probability`; only of these message `types` and this `payload_type`, when given."""
        return self._choice("lose", {k: v for k, v in locals().items() if k not in ("self", "count")}, count)

    def lose_acks(
        self,
        *,
        probability: float = 1.0,
        direction: str = "both",
        session: str = "",
        instance: str = "",
        count: int = 0,
        seed: int = 0,
    ) -> int:
        """Lose acknowledgements only."""
        chosen = {k: v for k, v in locals().items() if k != "self"}
        return self.lose(types=(ACKNOWLEDGE.decode(),), **chosen)

    def double(
        self,
        *,
        probability: float = 1.0,
        types: Sequence[str] = (),
        payload_type: int | None = None,
        direction: str = "both",
        session: str = "",
        instance: str = "",
        count: int = 0,
        seed: int = 0,
    ) -> int:
        """Deliver frames twice."""
        return self._choice("double", {k: v for k, v in locals().items() if k not in ("self", "count")}, count)

    def reorder(
        self,
        *,
        probability: float = 1.0,
        distance: int = 1,
        types: Sequence[str] = (),
        payload_type: int | None = None,
        direction: str = "both",
        session: str = "",
        instance: str = "",
        count: int = 0,
        seed: int = 0,
    ) -> int:
        """Hold frames back until `distance` others have overtaken them (or nothing came for a while)."""
        return self._choice("reorder", {k: v for k, v in locals().items() if k not in ("self", "count")}, count)

    def stall(self, *, side: str = "client", when: str = "now", session: str = "", instance: str = "") -> int:
        """Go silent without closing: nothing is read from or written to that side, not even pongs, until cleared.

        when: "now" (what is connected, and what connects later), or "open" (only what connects from now on).
        """
        check_choice("side", side, SIDES)
        check_choice("when", when, ("now", "open"))
        return self._add("stall", {key: value for key, value in locals().items() if key != "self"})

    def unfinished(self, *, session: str = "", instance: str = "", count: int = 1) -> int:
        """Begin the next message to a client and never go on with it; pings are answered.

        The message is the first fragment of several (RFC 6455, 5.4), so that control frames may follow. Nothing else
        reaches this connection any more; one that is opened later meets the fault anew, `count` times in all.
        """
        values = {key: value for key, value in locals().items() if key not in ("self", "count")}
        return self._add("unfinished", values, count=count)

    def refuse(
        self, *, status: int = 503, side: str = "client", session: str = "", instance: str = "", count: int = 0
    ) -> int:
        """Answer WebSocket upgrades with HTTP `status`. side: "client", "agent" (both its channels) or "both"."""
        check_choice("side", side, SIDES)
        values = {key: value for key, value in locals().items() if key not in ("self", "count")}
        return self._add("refuse", values, count=count)

    def expire_tokens(self) -> int:
        """Invalidate every issued token that has not been used, once."""
        number = self._add("expire_tokens", {}, count=1)
        self._rules[-1].hit()
        return number

    def api(
        self,
        *,
        operation: str = "",
        code: str = "InternalServerError",
        status: int = 500,
        message: str = "",
        delay: float = 0.0,
        drip: float = 0.0,
        count: int = 1,
    ) -> int:
        """Answer calls of `operation` (empty: any) with an error after `delay` seconds; without `code` only delay.

        drip: the answer comes one byte every so many seconds.
        """
        values = {key: value for key, value in locals().items() if key not in ("self", "count")}
        return self._add("api", values, count=count)

    def throttle(self, *, operation: str = "", count: int = 1) -> int:
        """Answer calls of `operation` (empty: any) with ThrottlingException, "Rate exceeded"."""
        return self.api(
            operation=operation, code="ThrottlingException", status=400, message="Rate exceeded", count=count
        )

    def unreachable(self, *, service: str, how: str = "closed") -> int:
        """Make the endpoint of `service` (ssm, ec2 or ec2-instance-connect) unreachable, until cleared.

        how: "closed" (connections are refused), "silent" (they are taken, and nothing is ever said) or "untrusted" (the
        certificate is not signed by the lab's CA). A name that does not resolve is for the client's environment:
        AWS_ENDPOINT_URL_EC2=https://ec2.invalid.
        """
        check_choice("service", service, SERVICES)
        check_choice("how", how, OUTAGES)
        return self._add("unreachable", {"service": service, "how": how})

    def deny(self, *, action: str, policy: str = "session policy", explicit: bool = False, count: int = 0) -> int:
        """Deny `action` (ssm:SendCommand) to every identity, in AWS's wording for that kind of policy.

        policy: "identity-based policy", "session policy", "permissions boundary", "VPC endpoint policy", "service
        control policy", "resource control policy" or "resource-based policy"; `explicit` or because none allows it.
        """
        check_choice("policy", policy, POLICIES)
        return self._add("deny", {"action": action, "policy": policy, "explicit": explicit}, count=count)

    def document(self, *, document: str, how: str = "missing") -> int:
        """Put `document` (AWS-StartNonInteractiveCommand) out of order for StartSession, until cleared.

        how: "missing" (the region has none of that name), "plain" (an early version, whose only parameter is the first
        of today's) or "denied" (no policy allows it).
        """
        check_choice("how", how, DOCUMENT_FAULTS)
        return self._add("document", {"document": document, "how": how})

    # Questions

    def document_fault(self, name: str) -> str:
        """Return how the document `name` is out of order, "" where it is not."""
        rules = [rule for rule in self._rules if rule.name == "document" and rule.document == name]
        return str(rules[-1].how) if rules else ""

    def outage(self, service: str) -> str:
        """Return how the endpoint of `service` is unreachable, "" where it is not."""
        rules = [rule for rule in self._rules if rule.name == "unreachable" and rule.service == service]
        return str(rules[-1].how) if rules else ""

    def denial(self, action: str) -> str:
        """Return why `action` is denied, in AWS's words, "" where no fault denies it. To be asked once for each call.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        """
        for rule in self._rules:
            if rule.name == "deny" and not rule.done and rule.action == action:
                rule.hit()
                if rule.explicit:
                    return f"with an explicit deny in a{'n' if rule.policy[0] in 'aeiou' else ''} {rule.policy}"
                return f"because no {rule.policy} allows the {action} action"
        return ""

    def simulated_denial(self, action: str) -> str:
        """Return why a simulation calls `action` denied: it sees identity-based policies only. "" where it does not."""
        rules = (rule for rule in self._rules if rule.name == "deny" and not rule.done and rule.action == action)
        return "denied" if any(rule.policy == "identity-based policy" for rule in rules) else ""

    def plan(self, session: str, instance: str, direction: str) -> Plan | None:
        """Return the faults on `direction` of a session, None when there are none. Ask again when `version` changes."""
        rules = [
            rule
            for rule in self._rules
            if rule.name in ("cut", "delay", "limit", "lose", "double", "reorder") and rule.concerns(session, instance)
        ]
        plan = Plan(rules, session, direction) if rules else None
        return None if plan is None or plan.quiet else plan

    def refusal(self, side: str, session: str, instance: str) -> int:
        """Return the HTTP status that an upgrade of `side` gets, 0 for none."""
        for rule in self._rules:
            if rule.name == "refuse" and rule.side in (side, "both") and rule.concerns(session, instance):
                rule.hit()
                return int(rule.status)
        return 0

    def stalled(self, side: str, session: str, instance: str) -> bool:
        """True when a connection of `side` is to be silent."""
        return any(
            rule.name == "stall" and rule.side in (side, "both") and rule.concerns(session, instance)
            for rule in self._rules
        )

    def cut_at_open(self, side: str, session: str, instance: str, *, resumed: bool) -> Rule | None:
        """Return the cut that a connection meets when its token has been accepted."""
        for rule in self._rules:
            if (
                rule.name == "cut"
                and (rule.when == "open" or (rule.when == "resume" and resumed))
                and rule.side in (side, "both")
                and rule.concerns(session, instance)
            ):
                rule.hit()
                return rule
        return None

    def unfinished_now(self, session: str, instance: str) -> bool:
        """True when the next message to the client is to stay unfinished. To be asked once for each message."""
        for rule in self._rules:
            if rule.name == "unfinished" and rule.concerns(session, instance):
                rule.hit()
                return True
        return False

    def api_decision(self, operation: str) -> ApiFault | None:
        """Return what a call of `operation` meets, None when nothing. To be asked once for each call."""
        for rule in self._rules:
            if rule.name == "api" and not rule.done and rule.operation in ("", operation):
                rule.hit()
                return ApiFault(rule.status, rule.code, rule.message, rule.delay, rule.drip)
        return None


NAMES = frozenset(
    "cut delay deny limit lose lose_acks double reorder stall refuse expire_tokens api throttle unfinished"
    " unreachable document".split()
)
