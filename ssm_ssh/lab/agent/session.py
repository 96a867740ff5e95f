"""One session on an instance, from its job to its result. The official agent starts a process for each.

After amazon-ssm-agent, agent/session/plugins/sessionplugin.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent import document as documents
from ssm_ssh.lab.agent import versions, words
from ssm_ssh.lab.agent.api import AgentApi, ApiRefused
from ssm_ssh.lab.agent.channel import DataChannel, Timing
from ssm_ssh.lab.agent.command import CommandPlugin, Streams
from ssm_ssh.lab.agent.forward import ForwardPlugin
from ssm_ssh.lab.agent.handshake import Encryption, HandshakeFailed
from ssm_ssh.lab.agent.login import StartFailed, log_in
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.port import OpenPort, PortPlugin
from ssm_ssh.lab.agent.quirk import EMPTY_INTERVAL, Quirk
from ssm_ssh.lab.agent.remote_host import Network
from ssm_ssh.lab.agent.result import CRASH_OUTPUT, Crashed, Result, failure
from ssm_ssh.lab.agent.service import AgentService, ServiceError
from ssm_ssh.lab.agent.shell import ShellPlugin
from ssm_ssh.lab.wire import message as am

SHELL, INTERACTIVE, NON_INTERACTIVE, PORT = "Standard_Stream", "InteractiveCommands", "NonInteractiveCommands", "Port"
_PREFIX = re.compile(r"[0-9a-zA-Z\r\n_:-]{0,30}")


class Machine(NamedTuple):
    """What an agent can do on its instance. `open_port(instance_id, port)` raises OSError."""

    open_port: OpenPort
    network: Network
    accounts: Accounts | None = None  # None: no shells and no commands


class _Job(NamedTuple):
    """What the session is to be, with all parameters resolved."""

    session_type: str
    properties: dict[str, Any]
    wanted: documents.Preferences


class AgentSession:
    """One session. `api` makes the instance's access to AWS's API; `cancelled` is set when the session is closed."""

    task: asyncio.Task[None]

    def __init__(
        self,
        instance_id: str,
        session_id: str,
        job: dict[str, Any],
        *,
        service: AgentService,
        api: Callable[[], AgentApi],
        machine: Machine,
        options: AgentOptions,
        quirk: Quirk,
    ) -> None:
        self.session_id = session_id
        self.cancelled = asyncio.Event()
        self._instance_id = instance_id
        self._document = job.get("DocumentContent") or {}
        self._parameters = job.get("Parameters") or {}
        self._api = api
        self._machine = machine
        self._options = options
        self._quirk = quirk
        self._plugin = self._make_plugin(str(self._document.get("sessionType")))
        self._channel = DataChannel(
            service,
            session_id,
            instance_id,
            agent_version=options.version,
            handler=self._plugin,
            cancelled=self.cancelled,
            timing=Timing(options.ready_delay, options.ping, options.pong, options.handshake, options.doubles_on_break),
            quirk=quirk,
        )

    def _make_plugin(self, session_type: str) -> ShellPlugin | CommandPlugin | PortPlugin | ForwardPlugin:
        if session_type in (SHELL, INTERACTIVE):
            return ShellPlugin(self.cancelled, self._options)
        if session_type == NON_INTERACTIVE:
            return CommandPlugin(self.cancelled, self._options)
        if (self._document.get("properties") or {}).get("type") == "LocalPortForwarding":
            return ForwardPlugin(self.cancelled, agent_version=self._options.version, pacing=self._options.pacing)
        return PortPlugin(self.cancelled, pacing=self._options.pacing)

    def drop(self, *, abort: bool) -> None:
        """End the data channel's socket."""
        self._channel.close(abort=abort)

    async def run(self) -> Result | None:
        """Run the session and return its result; None when the agent drops the job without a word."""
        try:
            job = await self._resolve()
        except (ValueError, ApiRefused):
            return None  # the official agent logs what it cannot resolve, and the client is never told
        await asyncio.sleep(self._options.start_delay)
        if not self._supports(job.session_type):
            return Result("Failed", _UNSUPPORTED.format(job.session_type))
        try:
            await self._channel.open()
        except ServiceError as error:
            self._channel.close()
            return failure(f"Setting up data channel with id {self.session_id} failed: {error}")
        try:
            return await self._converse(job)
        finally:
            self._channel.close()

    async def _resolve(self) -> _Job:
        """Replace parameters, those of the Parameter Store too. Raises ValueError, ApiRefused."""
        document, values = self._document, documents.parameter_values(self._document, self._parameters)
        whole = documents.replace(
            {"properties": document.get("properties") or {}, "inputs": document.get("inputs") or {}}, values
        )
        if names := documents.references(whole):
            stored, missing = await self._api().parameters(names)
            if missing:
                raise ValueError(f"Input contains invalid parameters [{' '.join(missing)}]")
            whole = documents.dereference(whole, stored)
        return _Job(str(document.get("sessionType")), whole["properties"], documents.preferences(whole["inputs"]))

    def _supports(self, session_type: str) -> bool:
        if session_type == PORT:
            return True
        if session_type == NON_INTERACTIVE and not versions.at_least(self._options.version, versions.NON_INTERACTIVE):
            return False
        return self._machine.accounts is not None and session_type in (SHELL, INTERACTIVE, NON_INTERACTIVE)

    async def _converse(self, job: _Job) -> Result:
        channel = self._channel
        channel.send_state()
        if self._quirk.kind == "no_handshake":
            await self.cancelled.wait()
            return Result("Cancelled")
        try:
            await self._shake_hands(job)
            if self.cancelled.is_set():
                result = Result("Cancelled")
            else:
                result = await self._serve(job)
        except HandshakeFailed as error:
            result = failure(f"Encountered error while initiating handshake. {error}")
        except Crashed:
            channel.close(abort=True)
            await asyncio.sleep(self._options.crash_report)
            return Result("Failed", CRASH_OUTPUT)
        await channel.prepare_to_close()
        channel.close()
        return result

    async def _shake_hands(self, job: _Job) -> None:
        encryption = None
        # A port session is never encrypted, whatever the preferences say.
        if job.wanted.kms_key_id and job.session_type != PORT:
            encryption = Encryption(
                job.wanted.kms_key_id,
                self._api(),
                self.session_id,
                self._instance_id,
                self._options.require_kms_challenge,
            )
        if encryption is None and job.session_type in (SHELL, INTERACTIVE):
            self._channel.handshake.skip()
            return
        properties = job.properties if job.session_type == PORT else None
        separate = job.session_type == NON_INTERACTIVE and self._separate(_commands(job.properties))
        await self._channel.handshake.perform(job.session_type, properties, encryption=encryption, separate=separate)

    def _separate(self, commands: dict[str, Any]) -> bool:
        wanted = documents.to_bool(commands.get("separateOutputStream"))
        return wanted and versions.at_least(self._options.version, versions.SEPARATE_OUTPUT)

    async def _serve(self, job: _Job) -> Result:
        if self._quirk.kind in ("no_banner", "mute", "empty"):
            return await self._never_connect()
        if isinstance(self._plugin, PortPlugin):
            return await self._port(self._plugin, job.properties)
        if isinstance(self._plugin, ForwardPlugin):
            return await self._plugin.run(
                self._channel,
                job.properties,
                client_version=self._channel.handshake.client_version,
                instance_id=self._instance_id,
                open_port=self._machine.open_port,
                network=self._machine.network,
            )
        if refusal := await self._logs_refusal(job.wanted):
            return Result("Failed", refusal)
        commands = _commands(job.properties)
        command = str(commands.get("commands") or "")
        if job.session_type != SHELL and not command.strip():
            return Result("Failed", f"Commands cannot be empty for session type {job.session_type}")
        assert self._machine.accounts is not None
        try:
            login = log_in(
                self._machine.accounts, job.wanted, elevated=documents.to_bool(commands.get("runAsElevated"))
            )
            if isinstance(self._plugin, ShellPlugin):
                argv = ["sh"] if job.session_type == SHELL else ["sh", "-c", command]
                profile = job.wanted.shell_profile if job.session_type == SHELL else ""
                return await self._plugin.run(self._channel, argv, login, profile)
            streams = self._streams(commands)
            if wrong := next((key for key, prefix in _prefixes(streams) if not _PREFIX.fullmatch(prefix)), ""):
                return Result("Failed", f"invalid {wrong} {commands.get(_SPELLED[wrong])}")
            return await self._plugin.run(self._channel, _split(command), login, streams)
        except StartFailed as error:
            return await self._start_failed(f"Unable to start command: {error}\n")

    async def _logs_refusal(self, wanted: documents.Preferences) -> str:
        """Return why shells and commands cannot be logged as the account wants, "" where they can."""
        if wanted.log_group and not await self._api().log_group_is_encrypted(wanted.log_group):
            return UNENCRYPTED_LOGS
        # The lab has no buckets.
        return UNKNOWN_BUCKET if wanted.log_bucket else ""

    def _streams(self, commands: dict[str, Any]) -> Streams:
        if not self._separate(commands):
            return Streams()
        return Streams(
            True, str(commands.get("stdOutSeparatorPrefix") or ""), str(commands.get("stdErrSeparatorPrefix") or "")
        )

    async def _start_failed(self, text: str) -> Result:
        await asyncio.sleep(self._options.failure_delay)
        told = versions.at_least(self._options.version, versions.START_ERRORS)
        if isinstance(self._plugin, CommandPlugin) and told:
            await self._plugin.send_error(self._channel, text)
        return failure(text)

    async def _port(self, plugin: PortPlugin, properties: dict[str, Any]) -> Result:
        port = str(properties.get("portNumber") or "")
        if not port.isdigit() or not 0 < int(port) < 65536:
            return Result("Failed", f"Unable to connect to specified port: dial tcp: address {port}: invalid port")
        try:
            return await plugin.run(self._channel, self._machine.open_port, self._instance_id, int(port))
        except OSError as error:
            if self._options.closed_port == "report":
                reason = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
                return Result("Failed", f"Unable to connect to specified port: {reason}")
            raise Crashed from error

    async def _never_connect(self) -> Result:
        if not isinstance(self._plugin, CommandPlugin):
            self._plugin.discard()
        while not self.cancelled.is_set():
            if self._quirk.kind == "empty":
                self._channel.send_stream(am.P_OUTPUT, [b""])
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.cancelled.wait(), EMPTY_INTERVAL)
        return Result("Cancelled")


# The official agent's sentences (agent/session/config, agent/session/shell).
UNENCRYPTED_LOGS = (
    "We couldn't start the session because encryption is not set up on the selected CloudWatch Logs log group. "
    "Either encrypt the log group or choose an option to enable logging without encryption."
)
UNKNOWN_BUCKET = (
    "Couldn't start the session because we are unable to validate encryption on Amazon S3 bucket. "
    "Error: NoSuchBucket: The specified bucket does not exist\n\tstatus code: 404, request id: "
)
_UNSUPPORTED = (
    "Plugin with name {0} is not supported by this version of ssm agent, "
    "please update to latest version. Step name: {0}"
)
_SPELLED = {"stdoutSeparatorPrefix": "stdOutSeparatorPrefix", "stderrSeparatorPrefix": "stdErrSeparatorPrefix"}


def _prefixes(streams: Streams) -> list[tuple[str, str]]:
    return [("stdoutSeparatorPrefix", streams.stdout_prefix), ("stderrSeparatorPrefix", streams.stderr_prefix)]


def _commands(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a document's properties that is for Linux."""
    commands = properties.get("linux")
    return commands if isinstance(commands, dict) else {}


def _split(command: str) -> list[str]:
    """Split a command into words. Raises StartFailed; and Crashed without any word, as the official agent."""
    try:
        argv = words.split(command)
    except words.SplitFailed as error:
        raise StartFailed(f"Failed to parse commands input: {error}\n") from error
    if not argv:
        raise Crashed
    return argv
