"""A session that another program carries out: AWS's own session code, built by hand, behind the lab's control channel.

The program gets one line of JSON on its standard input: the job as the agent got it, the endpoints and the instance's
credentials. A second line, or the end of its input, cancels the session. It prints its result as one line of JSON.
CONTRIBUTING.md says how such a program is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent import document as documents
from ssm_ssh.lab.agent.login import DEFAULT_USER, DIRECTORY
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.port import OpenPort
from ssm_ssh.lab.agent.result import CRASH_OUTPUT, Result
from ssm_ssh.lab.agent.service import AgentCredentials

# Exit status of a program that could not read the job: the official agent drops such a job.
_UNREADABLE = 3


class Surroundings(NamedTuple):
    """Where the program finds AWS: URLs, the region, the CA's file, and the instance's credentials."""

    gateway_url: str
    api_url: str
    region: str
    ca_file: str
    credentials: AgentCredentials


class WorkerSession:
    """One session of `job` in a program of its own, `options.worker`."""

    task: asyncio.Task[None]

    def __init__(
        self,
        instance_id: str,
        session_id: str,
        job: dict[str, Any],
        *,
        surroundings: Surroundings,
        open_port: OpenPort,
        accounts: Accounts,
        options: AgentOptions,
    ) -> None:
        self.session_id = session_id
        self.cancelled = asyncio.Event()
        self._instance_id = instance_id
        self._job = job
        self._around = surroundings
        self._open_port = open_port
        self._accounts = accounts
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    def drop(self, *, abort: bool) -> None:
        """End the program, whatever the session does."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (self._process.kill if abort else self._process.terminate)()

    async def run(self) -> Result | None:
        """Run the session and return its result; None when the program could not read the job."""
        async with contextlib.AsyncExitStack() as stack:
            job = copy.deepcopy(self._job)
            if (job.get("DocumentContent") or {}).get("sessionType") == "Port":
                await self._lend_port(job, stack)
            return await self._carry_out(job)

    async def _carry_out(self, job: dict[str, Any]) -> Result | None:
        folder = self._accounts.run / f"worker-{self.session_id}"
        pipe = asyncio.subprocess.PIPE
        process = self._process = await asyncio.create_subprocess_exec(
            self._options.worker,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=DIRECTORY if Path(DIRECTORY).is_dir() else "/",
            env=self._environment(job),
        )
        assert process.stdin is not None
        around = self._around
        order = {
            "Job": job,
            "InstanceId": self._instance_id,
            "Region": around.region,
            "Gateway": around.gateway_url,
            "Api": around.api_url,
            "AccessKey": around.credentials.access_key,
            "SecretKey": around.credentials.secret_key,
            "Token": around.credentials.token,
            "Folder": str(folder),
            "RequireChallenge": self._options.require_kms_challenge,
        }
        process.stdin.write(json.dumps(order).encode() + b"\n")
        cancelling = asyncio.create_task(self._cancel(process.stdin))
        try:
            assert process.stdout is not None
            text = await process.stdout.read()
            status = await process.wait()
        finally:
            cancelling.cancel()
            process.stdin.close()
            self.drop(abort=True)
            await process.wait()
        if status == _UNREADABLE:
            return None
        with contextlib.suppress(ValueError, KeyError, IndexError):
            values = json.loads(text.decode().splitlines()[-1])
            return Result(values["Status"], values["Output"])
        await asyncio.sleep(self._options.crash_report)
        return Result("Failed", CRASH_OUTPUT)

    async def _cancel(self, stdin: asyncio.StreamWriter) -> None:
        await self.cancelled.wait()
        stdin.write(b"\n")

    def _environment(self, job: dict[str, Any]) -> dict[str, str]:
        """Return the program's environment, which its sessions inherit: the instance's users are known by name."""
        inputs = (job.get("DocumentContent") or {}).get("inputs") or {}
        wanted = documents.preferences(inputs)
        self._accounts.add(DEFAULT_USER)
        user = wanted.run_as_user if wanted.run_as and wanted.run_as_user in self._accounts.users else DEFAULT_USER
        return {
            "PATH": self._accounts.session_path(),
            "LANG": "C.UTF-8",
            "SSL_CERT_FILE": self._around.ca_file,
            **self._accounts.names(user),
        }

    async def _lend_port(self, job: dict[str, Any], stack: contextlib.AsyncExitStack) -> None:
        """Put a port of this machine, which leads to the instance's, in place of the one that the job names."""
        document = job["DocumentContent"]
        values = documents.parameter_values(document, job.get("Parameters") or {})
        if values.get("host", "localhost") not in ("", "localhost", "127.0.0.1"):
            return
        port = str(documents.replace((document.get("properties") or {}).get("portNumber", ""), values))
        if not port.isdigit():
            return

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                other_reader, other_writer = await self._open_port(self._instance_id, int(port))
            except OSError:
                writer.transport.abort()
                return
            try:
                await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
            finally:
                writer.close()
                other_writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        job["Parameters"] = {**(job.get("Parameters") or {}), "portNumber": str(server.sockets[0].getsockname()[1])}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
