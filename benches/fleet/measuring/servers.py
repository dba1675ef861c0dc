"""The hosts: the simulated fleet, a real sshd, a silent host, and a way to a host that takes time.

All listen on 0.0.0.0 or loopback, so that every address of 127.0.0.0/8 is a host.
"""

import asyncio
import contextlib
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import threading
import time

FLEET = pathlib.Path(__file__).resolve().parent.parent
SIMULATED = FLEET / "target/release/fleet"


class Missing(Exception):
    """Something that must be installed or built first."""


def raise_limits():
    """Allows as many open files as 10,000 connections need on each side."""
    wanted = 16384
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with contextlib.suppress(ValueError):  # Only root may raise it.
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 20), hard))


def make_keys(folder):
    """Makes the host's key and the client's, which alone is let in."""
    for name in ("host_key", "client_key"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name])


class Server:
    """A process that listens on a port, until the end of the `with`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Simulated(Server):
    def __init__(self, folder, *flags):
        if not SIMULATED.exists():
            raise Missing(f"{SIMULATED}: cargo build --release --locked --manifest-path {FLEET}/Cargo.toml")
        arguments = [SIMULATED, folder / "host_key", folder / "client_key.pub", *flags]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        if words[:1] != ["listening"]:
            raise Missing(f"{SIMULATED}: ended at once with status {self.process.wait()}")
        self.port = int(words[1])


class Sshd(Server):
    def __init__(self, folder, more=""):
        sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not sshd:
            raise Missing("sshd: Debian package openssh-server")
        if os.geteuid() == 0:
            # Where sshd is a service the init system makes it.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.port, config, home = free_port(), folder / "sshd_config", folder / "server_home"
        home.mkdir()
        config.write_text(
            f"ListenAddress 0.0.0.0:{self.port}\nHostKey {folder}/host_key\n"
            f"AuthorizedKeysFile {folder}/client_key.pub\nPidFile none\nStrictModes no\n"
            "UsePAM no\nUseDNS no\nPermitRootLogin yes\nPasswordAuthentication no\nPrintMotd no\n"
            f"MaxStartups 4096\nLogLevel ERROR\nSetEnv HOME={home}\n{more}"
        )
        penalties = config.read_text() + "PerSourcePenalties no\n"
        probe = folder / "sshd_probe"
        probe.write_text(penalties)
        if subprocess.run([sshd, "-t", "-f", probe], capture_output=True, check=False).returncode == 0:
            config.write_text(penalties)  # Since OpenSSH 9.8.
        with open(folder / "sshd.log", "wb") as log:
            self.process = subprocess.Popen([sshd, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=log)
        self.wait_for_greeting(folder / "sshd.log")

    def wait_for_greeting(self, log):
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError):
                with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                    if connection.recv(8).startswith(b"SSH-2.0-"):
                        return
            time.sleep(0.01)
        raise Missing(f"sshd does not answer: {log.read_text()}")


class Silent:
    """Takes connections and never says a word."""

    def __enter__(self):
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()


class Distant:
    """Leads to another port of this machine, each byte `delay` seconds later in each direction."""

    def __init__(self, port, delay):
        self.target, self.delay, self.ready = port, delay, threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))

    def __enter__(self):
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()

    async def serve(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connect, "0.0.0.0", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.over.wait()
        server.close()

    async def connect(self, client_reader, client_writer):
        with contextlib.suppress(asyncio.CancelledError):  # The end of the last connection is not awaited.
            # What the client sends meanwhile is on its way already.
            arrivals = self.stamped(client_reader)
            await asyncio.sleep(self.delay)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self.carry(arrivals, server_writer), self.carry(self.stamped(server_reader), client_writer))

    async def carry(self, arrivals, writer):
        due, reading = arrivals
        with contextlib.suppress(ConnectionError):
            while (parcel := await due.get())[1]:
                await asyncio.sleep(parcel[0] - self.loop.time())
                writer.write(parcel[1])
        await reading
        writer.close()

    def stamped(self, reader):
        """Reads from now on; returns where what came is found, and who reads."""
        due = asyncio.Queue()
        return due, asyncio.create_task(self.stamp(reader, due))

    async def stamp(self, reader, due):
        data = b"-"
        while data:
            try:
                data = await reader.read(1 << 16)
            except ConnectionError:
                data = b""
            due.put_nowait((self.loop.time() + self.delay, data))


def free_port():
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


def run(arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
