"""hoist and its peers: where they are, how they are installed, and how each runs a command on a fleet.

Every tool uses the same key and the same hosts, with its own defaults otherwise. All but two check
the host's key against the same file: the parallel-ssh library never checks any, bssh is told not to,
as it knows but one file with one line a host. Both save them work.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable

FLEET = pathlib.Path(__file__).resolve().parent.parent
PEERS = FLEET / "target/peers"


@dataclasses.dataclass(frozen=True)
class Tool:
    name: str
    install: str
    # Fleet, fan-out, command's words, program: the arguments. Output as it comes, one line a host.
    command: Callable
    # Where it may be, in this order: a path with a slash, or a name to look for in PATH.
    places: tuple
    version: tuple = ("--version",)
    # One process for all hosts: more than 1,000 of them are no burden.
    is_one_process: bool = False
    most_hosts: int = 1000

    def find(self, hoist):
        places = [hoist] if self.name == "hoist" else self.places
        found = (shutil.which(str(place)) for place in places)
        return next((os.path.abspath(path) for path in found if path), None)

    def version_command(self, program):
        return [program, *self.version]

    def version_of(self, program):
        shown = subprocess.run(self.version_command(program), capture_output=True, text=True, check=False)
        number = re.search(r"\d+(\.\d+)+", shown.stdout + shown.stderr)
        return number.group() if number else "?"


def hoist(fleet, fan_out, words, program):
    login = ["--identity", fleet.key, "--known-hosts", fleet.known_hosts]
    return [program, "run", "-i", fleet.folder / "fleet.csv", "-f", fan_out, "-o", "stream", *login, "--", *words]


def pssh(fleet, fan_out, words, program):
    flags = ["-h", fleet.folder / "hosts", "-p", fan_out, "-l", fleet.user, "-t", "0", "-P"]
    return [program, *flags, "-x", " ".join(fleet.ssh_options()), " ".join(words)]


def pdsh(fleet, fan_out, words, program):
    hosts = f"^{fleet.folder}/hosts"
    return [program, "-R", "ssh", "-f", fan_out, "-l", fleet.user, "-w", hosts, " ".join(words)]


def clush(fleet, fan_out, words, program):
    flags = ["-f", fan_out, "-l", fleet.user, "-o", " ".join(fleet.ssh_options())]
    return [program, *flags, "--hostfile", fleet.folder / "hosts", " ".join(words)]


def library(fleet, fan_out, words, program):
    script = FLEET / "parallel_ssh_library.py"
    return [program, script, fleet.folder / "hosts", fleet.port, fleet.user, fleet.key, fan_out, " ".join(words)]


def bssh(fleet, fan_out, words, program):
    cluster = ["--config", fleet.folder / "fleet.yaml", "-C", "fleet"]
    login = ["-i", fleet.key, "--strict-host-key-checking", "no"]
    return [program, *cluster, *login, "--parallel", fan_out, "--stream", " ".join(words)]


def ansible(fleet, fan_out, words, program):
    """The module `raw`: what it sends is the command alone, no Python that would run on the host."""
    options = " ".join(option for option in fleet.ssh_options() if not option.startswith(("-p", "-i")))
    login = ["-u", fleet.user, "--private-key", fleet.key, "-e", f"ansible_port={fleet.port}"]
    flags = ["-i", fleet.folder / "fleet.ini", "-f", fan_out, "--ssh-common-args", options]
    return [program, "all", *flags, *login, "-m", "raw", "-a", " ".join(words)]


def ssh(fleet, _, words, program):
    """A lone ssh: the measure for one host."""
    host = (fleet.folder / "hosts").read_text().split()[0]
    return [program, *fleet.ssh_options(), f"{fleet.user}@{host}", " ".join(words)]


TOOLS = {
    tool.name: tool
    for tool in [
        Tool("hoist", "cargo build --locked --release --bin hoist", hoist, (), ("--version",), True, 10000),
        Tool("bssh", "benches/fleet/peers", bssh, (PEERS / "bin/bssh", "bssh"), ("--version",), True, 10000),
        Tool(
            "parallel-ssh library",
            "benches/fleet/peers",
            library,
            (PEERS / "venv/bin/python",),
            ("-c", "import pssh.clients, importlib.metadata as m; print(m.version('parallel-ssh'))"),
            True,
            10000,
        ),
        Tool("pssh", "apt-get install pssh", pssh, ("parallel-ssh", "pssh")),
        Tool("pdsh", "apt-get install pdsh", pdsh, ("pdsh",), ("-V",)),
        Tool("clush", "apt-get install clustershell", clush, ("clush",)),
        Tool("Ansible", "benches/fleet/peers", ansible, (PEERS / "venv/bin/ansible", "ansible"), most_hosts=100),
    ]
}
SSH = Tool("ssh", "apt-get install openssh-client", ssh, ("ssh",), ("-V",), most_hosts=1)


def find(names, hoist_path):
    """Returns the programs of the tools that are there, and how to install those that aren't."""
    programs, missing = {}, {}
    for tool in [TOOLS[name] for name in names] + [SSH]:
        program = tool.find(hoist_path)
        if program and tool.version_of(program) != "?":
            programs[tool.name] = program
        else:
            missing[tool.name] = tool.install
    return programs, missing
