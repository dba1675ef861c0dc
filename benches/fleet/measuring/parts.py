"""What is measured: parts of cases, each case one tool at one job on so many hosts.

A part's cases take turns, so that what else the machine does hits all alike.
"""

import dataclasses

from . import tools

WORD = "hello-from-the-fleet"
MIB = 1 << 20
ROUNDS = 3
IN_PROCESS = ["hoist", "bssh", "parallel-ssh library"]


@dataclasses.dataclass(frozen=True)
class Job:
    """What the hosts execute. `{ten}` is a text of 10 MiB there, `{big}` one of 64 MiB; `{id}` and
    `{hosts}` name the meeting."""

    words: tuple
    # In every line that a host must answer; None where bytes are counted instead.
    word: str | None = None
    size: int = 0
    # Which server the hosts are: simulated, sshd, silent, near or far (50 ms).
    server: str = "simulated"
    flags: tuple = ()


JOBS = {
    "echo": Job(("echo", WORD), WORD),
    "real": Job(("echo", WORD), WORD, server="sshd"),
    "meet": Job(("meet", "{id}", "{hosts}"), "met"),
    "gigabyte": Job(("cat",) + ("{big}",) * 16, size=1024 * MIB, server="sshd"),
    "ten": Job(("cat", "{ten}"), size=10 * MIB, server="sshd"),
    "far": Job(("echo", WORD), WORD, server="far"),
    "silent": Job(("echo", WORD), server="silent", flags=("--connect-timeout", "2s")),
    "endless": Job(("sleep", "1000"), server="sshd", flags=("--timeout", "2s")),
    "version": Job(()),
}


@dataclasses.dataclass(frozen=True)
class Case:
    job: str
    tool: str
    hosts: int = 1
    fan_out: int = 1
    timed: int = ROUNDS
    memory: int = 0
    limit: float = 300.0

    @property
    def key(self):
        return f"{self.job}/{self.hosts}/{self.fan_out}/{self.tool}"


SCALE = [(1, 32), (100, 32), (100, 256), (1000, 32), (1000, 256), (5000, 256), (10000, 256)]
QUICK_SCALE = [(1, 32), (100, 32)]
BEST = [64, 128, 512]
FLAT_HOSTS = 5000
FLAT_FAN_OUTS = [32, 128, 512, 2000, 5000]
IN_FLIGHT = [1, 100, 1000, 5000, 10000]


def scale(names, rows=None, memory=ROUNDS):
    """Every tool on 1 to 10,000 simulated hosts; `ssh` where there is but one."""
    for hosts, fan_out in rows or SCALE:
        for name in names + (["ssh"] if hosts == 1 else []):
            if hosts <= most_hosts(name):
                yield Case("echo", name, hosts, fan_out, memory=memory)


def best(names):
    """Further fan-outs at 1,000 hosts: which is each tool's own best?"""
    return [Case("echo", name, 1000, fan_out) for fan_out in BEST for name in names if most_hosts(name) >= 1000]


def flat(names):
    """hoist alone, at very different fan-outs."""
    return [Case("echo", "hoist", FLAT_HOSTS, fan_out) for fan_out in FLAT_FAN_OUTS if "hoist" in names]


def flight(names):
    """Memory while all hosts run the command at once."""
    for hosts in IN_FLIGHT:
        for name in names:
            # The library takes minutes for thousands, so it stays out of those.
            if hosts <= 100 or name in ("hoist", "bssh") or (hosts <= 1000 and name in IN_PROCESS):
                yield Case("meet", name, hosts, hosts, timed=0, memory=ROUNDS, limit=180)


def real(names):
    return [Case("real", name, 100, 32) for name in names]


def volume(names):
    """Much from one host, and from many. Who takes longer than `limit` is stopped."""
    for name in ["ssh", *(name for name in names if name in ("hoist", "bssh"))]:
        yield Case("gigabyte", name, memory=ROUNDS, limit=60)
    for name in names:
        if name != "Ansible":  # It keeps all and prints it at the end.
            yield Case("ten", name, 100, 32, memory=ROUNDS, limit=60)


def trips(names):
    """One host over a way that takes 50 ms, and the same host near."""
    some = ["ssh"] + [name for name in names if name in IN_PROCESS]
    return [Case(job, name, timed=7) for name in some for job in ("echo", "far")]


def start(names):
    return [Case("version", name, timed=11) for name in names + ["ssh"]]


def deadlines(names):
    return [Case(job, "hoist") for job in ("silent", "endless") if "hoist" in names]


PARTS = {
    "start": start,
    "deadlines": deadlines,
    "trips": trips,
    "scale": scale,
    "real": real,
    "volume": volume,
    "flight": flight,
    "flat": flat,
    "best": best,
}


def quick(names):
    return {"start": start(names), "deadlines": deadlines(names), "scale": list(scale(names, QUICK_SCALE, memory=1))}


def chosen(part_names, names):
    return {part: list(PARTS[part](names)) for part in part_names}


def most_hosts(name):
    return 1 if name == "ssh" else tools.TOOLS[name].most_hosts
