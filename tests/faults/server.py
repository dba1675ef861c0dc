#!/usr/bin/python3
"""Hosts that do everything wrong: one port for each fault, on all of 127.0.0.0/8.

Usage: server.py AUTHORIZED_KEYS. Prints one JSON object as soon as everything listens,
{"host_key": "ssh-ed25519 …", "ports": {"fault": port, …}}, and ends when its stdin does.

What happens before a login is written to raw sockets (before.py); what happens after one is done
by a real SSH server that then misbehaves (after.py). Every fault is a process of its own, so that
one that floods does not keep the others from their work.
"""

import asyncio
import json
import os
import select
import sys
import warnings

# Debian's asyncssh imports old ciphers.
warnings.filterwarnings("ignore")

import asyncssh  # noqa: E402

import after  # noqa: E402
import before  # noqa: E402


def main():
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    pipes = {}
    for name, fault in before.FAULTS.items():
        pipes[name] = begin(name, before.serve(fault))
    for name, options in after.FAULTS.items():
        pipes[name] = begin(name, after.serve(options, host_key, sys.argv[1]))
    ports = {name: int(os.read(pipe, 16)) for name, pipe in pipes.items()}
    public = " ".join(host_key.export_public_key().decode().split()[:2])
    print(json.dumps({"host_key": public, "ports": ports}), flush=True)
    # The children have made it non-blocking.
    select.select([sys.stdin], [], [])


def begin(name, serving):
    """Serves from a process of its own; the pipe that is returned tells on which port."""
    pipe, port = os.pipe()
    if os.fork() == 0:
        # The clients come first, and who floods to the end comes last, but not so late that a busy
        # machine never lets it begin.
        os.nice(10 if name in ("floods", "floods-beyond-the-window") else 5)
        asyncio.run(until_stdin_ends(serving, port))
        os._exit(0)
    serving.close()
    os.close(port)
    return pipe


async def until_stdin_ends(serving, port):
    server = await serving
    os.write(port, b"%d" % server.sockets[0].getsockname()[1])
    stdin, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await stdin.read()
    os._exit(0)


main()
