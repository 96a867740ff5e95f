"""Accounts and regions full of instances on loopback: the discovery calls of Systems Manager and EC2, in pages.

Who calls is read off the signature's scope (not verified: the lab does that), so one server is every place at once.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

_SCOPE = re.compile(r"Credential=([A-Z0-9]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")


class Instance(NamedTuple):
    instance_id: str
    name: str | None = None
    platform: str = "Ubuntu"
    state: str = "running"
    ping: str = "Online"
    tags: dict[str, str] = {}  # noqa: RUF012
    address: str = "10.0.0.4"

    @property
    def host(self) -> str:
        return f"ip-{self.address.replace('.', '-')}.eu-west-1.compute.internal"


class Call(NamedTuple):
    key: str
    region: str
    operation: str
    payload: dict[str, Any]


class Fleet:
    """`places[access key, region]` is what that account has there; `answers` replaces an operation's answer.

    A function in `answers` gets the Call and returns (status, code) for an error, or None to go on; it may block.
    """

    def __init__(self) -> None:
        self.places: dict[tuple[str, str], list[Instance]] = {}
        self.answers: dict[str, Callable[[Call], tuple[int, str] | None]] = {}
        self.calls: list[Call] = []
        fleet = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                fleet._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, operation: str) -> int:
        return sum(one.operation == operation for one in self.calls)

    def environment(self, home: Path, profiles: dict[str, str | None]) -> dict[str, str]:
        """Write ~/.aws with `profiles` (name: its region) and return an environment; the key of `prod` is AKPROD."""
        folder = home / ".aws"
        folder.mkdir(exist_ok=True)
        config, credentials = "", ""
        for name, region in profiles.items():
            section = name if name == "default" else f"profile {name}"
            config += f"[{section}]\n" + (f"region = {region}\n" if region else "")
            credentials += f"[{name}]\naws_access_key_id = {access_key(name)}\naws_secret_access_key = secret\n"
        (folder / "config").write_text(config)
        (folder / "credentials").write_text(credentials)
        return {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }

    # --- the server's side --------------------------------------------------------------------------------------------

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        found = _SCOPE.search(request.headers["Authorization"])
        assert found
        key, region, service = found.groups()
        if service == "ec2":
            form = {name: values[0] for name, values in parse_qs(body).items()}
            operation, payload = form["Action"], form
        else:
            operation, payload = request.headers["X-Amz-Target"].rpartition(".")[2], json.loads(body)
        call = Call(key, region, operation, payload)
        self.calls.append(call)
        trouble = self.answers[operation](call) if operation in self.answers else None
        if trouble:
            status, code = trouble
            text = _error(service, code)
        else:
            status, text = 200, getattr(self, f"_{operation}")(call)
        content = text.encode()
        try:
            request.send_response(status)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except OSError:
            pass  # the caller has what it wanted from somebody else

    def _here(self, call: Call) -> list[Instance]:
        return self.places.get((call.key, call.region), [])

    def _DescribeInstanceInformation(self, call: Call) -> str:
        found = self._here(call)
        for one in call.payload.get("Filters", []):
            found = [instance for instance in found if _matches(instance, one["Key"], one["Values"])]
        shown, token = _page(found, call.payload.get("NextToken"), call.payload.get("MaxResults", 10))
        assert call.payload.get("MaxResults", 10) <= 50
        listed = []
        for one in shown:
            info = {
                "InstanceId": one.instance_id,
                "PingStatus": one.ping,
                "AgentVersion": "3.3.1611.0",
                "PlatformName": one.platform,
                "PlatformVersion": "24.04",
                "IPAddress": one.address,
                "ComputerName": one.name if one.instance_id.startswith("mi-") else one.host,
            }
            if one.instance_id.startswith("mi-") and one.name is not None:
                info["Name"] = one.name
            listed.append(info)
        return json.dumps({"InstanceInformationList": listed, **({"NextToken": token} if token else {})})

    def _GetConnectionStatus(self, call: Call) -> str:
        online = any(one.instance_id == call.payload["Target"] and one.ping == "Online" for one in self._here(call))
        return json.dumps({"Target": call.payload["Target"], "Status": "connected" if online else "notconnected"})

    def _DescribeInstances(self, call: Call) -> str:
        mine = [one for one in self._here(call) if one.instance_id.startswith("i-") and one.state]
        if "Filter.1.Name" in call.payload:
            wanted = call.payload["Filter.1.Value.1"]
            assert "Filter.2.Name" not in call.payload
            mine = [one for one in mine if fnmatch(_fact(one, call.payload["Filter.1.Name"]), wanted)]
        shown, token = _page(mine, call.payload.get("NextToken"), int(call.payload.get("MaxResults", "1000")))
        items = []
        for one in shown:
            tags = {**({} if one.name is None else {"Name": one.name}), **one.tags}
            said = "".join(
                f"<item><key>{_xml(key)}</key><value>{_xml(value)}</value></item>" for key, value in tags.items()
            )
            items.append(
                f"<item><instancesSet><item><instanceId>{one.instance_id}</instanceId><instanceState><code>16</code>"
                f"<name>{one.state}</name></instanceState><privateIpAddress>{one.address}</privateIpAddress><tagSet>{said}</tagSet></item></instancesSet></item>"
            )
        following = f"<nextToken>{token}</nextToken>" if token else ""
        space = "http://ec2.amazonaws.com/doc/2016-11-15/"
        return (
            f'<DescribeInstancesResponse xmlns="{space}"><reservationSet>{"".join(items)}</reservationSet>'
            f"{following}</DescribeInstancesResponse>"
        )


def access_key(profile: str) -> str:
    return "AK" + re.sub(r"[^A-Z0-9]", "", profile.upper())


def an_id(number: int) -> str:
    return f"i-{number:017x}"


@contextmanager
def running() -> Iterator[Fleet]:
    fleet = Fleet()
    try:
        yield fleet
    finally:
        fleet.close()


def _xml(text: str) -> str:
    return "".join(c if c >= " " else f"&#{ord(c)};" for c in escape(text))


def _matches(instance: Instance, key: str, values: list[str]) -> bool:
    if key == "InstanceIds":
        return instance.instance_id in values
    if key == "ResourceType":
        return ("ManagedInstance" if instance.instance_id.startswith("mi-") else "EC2Instance") in values
    if key == "tag-key":
        return any(one in values for one in instance.tags)
    assert key.startswith("tag:")
    return instance.tags.get(key[4:]) in values


def _fact(instance: Instance, name: str) -> str:
    return {
        "network-interface.addresses.private-ip-address": instance.address,
        "network-interface.ipv6-addresses.ipv6-address": "",
        "private-dns-name": instance.host,
    }[name]


def _page(found: list[Instance], token: str | None, size: int) -> tuple[list[Instance], str]:
    start = int(token or "0")
    return found[start : start + size], str(start + size) if start + size < len(found) else ""


def _error(service: str, code: str) -> str:
    if service == "ec2":
        return f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
    return json.dumps({"__type": code, "message": "no"})
