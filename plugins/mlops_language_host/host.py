"""The LanguageRuntime service: runs programs, dynamic providers and policy packs.

Protocol: `pulumi/language.proto` of the pinned SDK. What the engine asks of a host for building
packages or converting programs is not offered: gRPC answers "unimplemented", which the engine
reports by name.
"""

import asyncio
import importlib.metadata
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from mlops_language_host import stubs
from mlops_language_host.engine_watch import engine_gone
from mlops_language_host.interpreter import InterpreterNotFoundError, interpreter

stubs.register_parent_packages()

from google.protobuf import empty_pb2  # noqa: E402
from pulumi.runtime.proto import (  # noqa: E402
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
)

# A program that has already shown the user what is wrong exits with this code (the SDK's contract).
_EXIT_MESSAGE_SHOWN = 32
_CHUNK_BYTES = 65536


def program_command(request: Any, engine: str) -> list[str]:
    """Return the command line that runs a user's program for a RunRequest.

    Raises:
        InterpreterNotFoundError: see `interpreter`.
        FileNotFoundError: the SDK's program runner is not beside the host or on PATH.
    """
    runner = os.environ.get("PULUMI_PYTHON_EXEC") or shutil.which("pulumi-language-python-exec")
    if runner is None:
        raise FileNotFoundError(
            "pulumi-language-python-exec is not on PATH; run `make toolchain`, then `. ./env.sh`"
        )
    info = request.info
    return [
        interpreter(info.root_directory, dict(info.options)),
        "-u",
        runner,
        *("--project", request.project),
        *("--stack", request.stack),
        *("--organization", request.organization),
        *("--root_directory", info.root_directory),
        *("--pwd", request.pwd or info.program_directory),
        *("--monitor", request.monitor_address),
        *("--engine", engine),
        *("--parallel", str(request.parallel)),
        *("--dry_run", "true" if request.dryRun else "false"),
        str(Path(info.program_directory, info.entry_point)),
        *request.args,
    ]


def plugin_command(request: Any) -> list[str]:
    """Return the command line that runs a Python plugin (policy pack, component provider).

    Raises:
        InterpreterNotFoundError: see `interpreter`.
    """
    directory = request.info.program_directory
    python = interpreter(directory, dict(request.info.options))
    if request.kind == "analyzer":
        return [python, "-u", "-m", "pulumi.policy", *request.args, directory]
    return [python, "-u", "-m", "pulumi.run.plugin", directory, *request.args]


def program_environment(request: Any, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: the host's, with the stack's configuration."""
    return {
        **base,
        "PULUMI_CONFIG": json.dumps(dict(request.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
    }


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """One language host process.

    Attributes:
        engine: the engine's address, which the handshake tells anew.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._children: set[asyncio.subprocess.Process] = set()
        self._cancelled = False

    async def Handshake(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Take the engine's address."""
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    async def GetRequiredPackages(self, *_: Any) -> Any:  # noqa: N802
        """Name no packages: the toolchain has installed the plugins that the lock file pins."""
        return language_pb2.GetRequiredPackagesResponse()

    async def GetPluginInfo(self, *_: Any) -> Any:  # noqa: N802
        """Return the host's version: that of the SDK it speaks for."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    async def About(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Describe the interpreter for `pulumi about`."""
        return language_pb2.AboutResponse(
            executable=interpreter(request.info.root_directory, dict(request.info.options)),
            version=".".join(map(str, sys.version_info[:3])),
        )

    async def GetProgramDependencies(self, request: Any, _: Any) -> Any:  # noqa: N802
        """List the packages that are installed beside the host."""
        wanted = importlib.metadata.distributions()
        dependencies = sorted({(found.metadata["Name"], found.version) for found in wanted})
        if not request.transitiveDependencies:
            dependencies = [d for d in dependencies if d[0].lower().startswith("pulumi")]
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version in dependencies
            ]
        )

    async def RuntimeOptionsPrompts(self, *_: Any) -> Any:  # noqa: N802
        """Ask nothing: the options stand in Pulumi.yaml."""
        return language_pb2.RuntimeOptionsResponse()

    async def InstallDependencies(self, *_: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Say how the environment is made; the lock file is uv's, not the engine's."""
        yield language_pb2.InstallDependenciesResponse(
            stdout=b"dependencies are installed by `make toolchain` (uv sync --locked)\n"
        )

    async def Run(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Run the user's program to its end."""
        try:
            command = program_command(request, self.engine)
        except (InterpreterNotFoundError, FileNotFoundError) as error:
            return language_pb2.RunResponse(error=str(error))
        process = await asyncio.create_subprocess_exec(
            *command,
            env=program_environment(request, os.environ),
            cwd=request.pwd or request.info.program_directory,
        )
        code = await self._wait(process)
        # Of a cancelled program the user knows: they, or an earlier error, cancelled it.
        if code == _EXIT_MESSAGE_SHOWN or self._cancelled:
            return language_pb2.RunResponse(bail=True)
        if code:
            return language_pb2.RunResponse(error=f"the program exited with code {code}")
        return language_pb2.RunResponse()

    async def RunPlugin(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Run a plugin and stream what it prints; its first line is the port it serves."""
        try:
            command = plugin_command(request)
        except InterpreterNotFoundError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            return
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(pair.split("=", 1) for pair in request.env),
            # A policy pack is imported from its own folder; other plugins see the project's.
            cwd=request.info.program_directory if request.kind == "analyzer" else request.pwd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async for stream, chunk in _output(process):
                if stream == "stdout":
                    yield language_pb2.RunPluginResponse(stdout=chunk)
                else:
                    yield language_pb2.RunPluginResponse(stderr=chunk)
            yield language_pb2.RunPluginResponse(exitcode=await self._wait(process))
        finally:
            # The engine ends a plugin by closing the stream.
            if process.returncode is None:
                process.terminate()

    async def Cancel(self, *_: Any) -> Any:  # noqa: N802
        """End running programs; the engine has already begun to wind down."""
        self.terminate()
        return empty_pb2.Empty()

    def terminate(self) -> None:
        """Send SIGTERM, which leaves no traceback behind, to every program that still runs."""
        self._cancelled = True
        for process in self._children:
            if process.returncode is None:
                process.terminate()

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        self._children.add(process)
        try:
            return await process.wait()
        finally:
            self._children.discard(process)


async def _output(process: asyncio.subprocess.Process) -> AsyncIterator[tuple[str, bytes]]:
    """Yield ("stdout" | "stderr", bytes) in the order of arrival until both streams end."""
    queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def pump(name: str, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
            await queue.put((name, chunk))
        await queue.put((name, b""))

    pumps = [
        asyncio.create_task(pump("stdout", process.stdout)),
        asyncio.create_task(pump("stderr", process.stderr)),
    ]
    open_streams = len(pumps)
    while open_streams:
        name, chunk = await queue.get()
        if chunk:
            yield name, chunk
        else:
            open_streams -= 1
    await asyncio.gather(*pumps)


async def serve(engine: str) -> None:
    """Serve on a free loopback port, print it (the engine's contract), and run until a signal.

    An engine that is gone ends it as well, with the programs that it had asked for.
    """
    server = grpc.aio.server()
    host = Host(engine)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watch = asyncio.create_task(engine_gone(lambda: host.engine))
    watch.add_done_callback(lambda _: stop.set())
    await stop.wait()
    watch.cancel()
    host.terminate()
    # Plugins end with their streams.
    await server.stop(grace=1)
