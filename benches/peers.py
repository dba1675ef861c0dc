#!/usr/bin/env python3
"""Measures hoist against parallel-ssh, pdsh and clush on the same loopback fleet.

One sshd of its own listens on 0.0.0.0, so that every address of 127.0.0.0/8 is a host. Each tool
executes the same command on the same hosts with the same key and fan-out; every host's answer is
checked. The tools take turns, and medians are printed as a Markdown table.

CPU is user and system time of the tool and all its children; the server's is not in it. Memory is
the largest sum of proportional set sizes (PSS) over the tool and its children, sampled in runs of
their own so that sampling doesn't disturb the times.
"""

import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WORD = "hello-from-the-fleet"
PACKAGES = {"parallel-ssh": "pssh", "pdsh": "pdsh", "clush": "clustershell", "sshd": "openssh-server"}
PEERS = ["parallel-ssh", "pdsh", "clush"]
SAMPLE_SECONDS = 0.01


def main():
    options = parse_arguments()
    programs = find_programs(options)
    with tempfile.TemporaryDirectory(prefix="hoist-bench-") as folder:
        with Server(pathlib.Path(folder)) as server:
            fleet = Fleet(pathlib.Path(folder), server, options)
            results = measure(fleet, programs, options)
    print_table(results, programs, options)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures hoist against its peers on one loopback fleet.")
    parser.add_argument("--hoist", default="target/release/hoist", help="the program (default: %(default)s)")
    parser.add_argument("--hosts", type=int, default=100, metavar="N", help="default: %(default)s")
    parser.add_argument("--fan-out", type=int, default=64, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--tools",
        default=",".join(["hoist", *PEERS]),
        metavar="LIST",
        help="which to measure (default: %(default)s)",
    )
    return parser.parse_args()


def find_programs(options):
    """Returns each tool's path; ends with the packages that are missing."""
    programs, missing = {}, []
    for tool in options.tools.split(","):
        path = os.path.abspath(options.hoist) if tool == "hoist" else shutil.which(tool)
        if path and os.access(path, os.X_OK):
            programs[tool] = path
        else:
            missing.append(f"{options.hoist} (cargo build --release)" if tool == "hoist" else PACKAGES[tool])
    if missing:
        sys.exit(f"peers: missing: {', '.join(missing)}; Debian packages unless noted, or choose with --tools")
    return programs


class Server:
    """An sshd in a folder, ready when it greets, ended at the end."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not sshd:
            sys.exit("peers: sshd is not installed: Debian package openssh-server")
        if os.geteuid() == 0:
            # Where sshd is a service the init system makes it.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for name in ("host_key", "client_key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name])
        shutil.copy(self.folder / "client_key.pub", self.folder / "authorized_keys")
        self.port = free_port()
        config = self.folder / "sshd_config"
        home = self.folder / "server_home"
        home.mkdir()
        config.write_text(
            f"ListenAddress 0.0.0.0:{self.port}\nHostKey {self.folder}/host_key\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nPidFile none\nStrictModes no\n"
            "UsePAM no\nUseDNS no\nPermitRootLogin yes\nPasswordAuthentication no\nPrintMotd no\n"
            f"MaxStartups 4096\nLogLevel ERROR\nSetEnv HOME={home}\n"
        )
        self.log = open(self.folder / "sshd.log", "w+b")
        arguments = [sshd, "-D", "-e", "-f", config]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=self.log)
        self.wait_for_greeting()
        return self

    def wait_for_greeting(self):
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                    if connection.recv(8).startswith(b"SSH-2.0-"):
                        return
            except ConnectionRefusedError:
                time.sleep(0.01)
        self.__exit__()
        sys.exit(f"peers: sshd does not answer: {(self.folder / 'sshd.log').read_text()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Fleet:
    """The hosts in every tool's own form."""

    def __init__(self, folder, server, options):
        self.folder, self.port, self.options = folder, server.port, options
        self.user = run(["id", "-un"]).strip()
        self.addresses = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(options.hosts)]
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"* {host_key}\n")
        self.list = folder / "hosts"
        self.list.write_text("".join(f"{address}\n" for address in self.addresses))
        self.inventory = folder / "fleet.csv"
        rows = [f"{address},{self.port},{self.user}\n" for address in self.addresses]
        self.inventory.write_text("name,port,user\n" + "".join(rows))
        self.ssh_options = [
            "-F/dev/null",
            f"-p{self.port}",
            f"-i{folder}/client_key",
            f"-oUserKnownHostsFile={self.known_hosts}",
            "-oIdentitiesOnly=yes",
            "-oStrictHostKeyChecking=yes",
            "-oBatchMode=yes",
        ]

    def command(self, tool, program):
        """Returns the arguments with which a tool runs the command everywhere."""
        fan_out, options = str(self.options.fan_out), " ".join(self.ssh_options)
        if tool == "hoist":
            key = str(self.folder / "client_key")
            flags = ["-f", fan_out, "-o", "stream", "--identity", key, "--known-hosts", str(self.known_hosts)]
            return [program, "run", "-i", str(self.inventory), *flags, "--", "echo", WORD]
        if tool == "parallel-ssh":
            flags = ["-h", str(self.list), "-p", fan_out, "-l", self.user, "-t", "0", "-P"]
            return [program, *flags, "-x", options, f"echo {WORD}"]
        if tool == "pdsh":
            return [program, "-R", "ssh", "-f", fan_out, "-l", self.user, "-w", f"^{self.list}", f"echo {WORD}"]
        flags = ["-f", fan_out, "-l", self.user, "-o", options, "--hostfile", str(self.list)]
        return [program, *flags, f"echo {WORD}"]

    def environment(self):
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PDSH_SSH_ARGS_APPEND": " ".join(self.ssh_options),
        }


class Run:
    """One run of one tool: its times, and its memory where that was sampled."""

    def __init__(self, fleet, tool, program, samples):
        arguments = fleet.command(tool, program)
        with open(fleet.folder / "output", "w+b") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                arguments,
                env=fleet.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            sampler = Sampler(process.pid) if samples else None
            _, status, usage = os.wait4(process.pid, 0)
            self.wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            self.memory = sampler.stop() if sampler else 0
            self.cpu = usage.ru_utime + usage.ru_stime
            output.seek(0)
            text = output.read().decode(errors="replace")
        answers = sum(1 for line in text.splitlines() if WORD in line)
        if process.returncode != 0 or answers != len(fleet.addresses):
            sys.stderr.write(text[-3000:])
            sys.exit(f"peers: {tool} ended with {process.returncode}, {answers} of {len(fleet.addresses)} answers")


class Sampler:
    """Watches the memory of a process and all below it."""

    def __init__(self, pid):
        self.pid, self.largest, self.is_over = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.is_over.wait(SAMPLE_SECONDS):
            self.largest = max(self.largest, sum(pss(pid) for pid in family(self.pid)))

    def stop(self):
        self.is_over.set()
        self.thread.join()
        return self.largest


def family(root):
    """Returns a process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    found, next_ones = [], [root]
    while next_ones:
        pid = next_ones.pop()
        found.append(pid)
        next_ones.extend(children.get(pid, []))
    return found


def pss(pid):
    """Returns the proportional set size in bytes, 0 for a process that is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def measure(fleet, programs, options):
    results = {tool: ([], []) for tool in programs}
    for tool, program in programs.items():
        Run(fleet, tool, program, samples=False)  # warms the caches
    for number in range(options.rounds):
        for tool, program in programs.items():
            print(f"peers: round {number + 1} of {options.rounds}: {tool}", file=sys.stderr)
            timed, sampled = results[tool]
            timed.append(Run(fleet, tool, program, samples=False))
            sampled.append(Run(fleet, tool, program, samples=True))
    return results


def print_table(results, programs, options):
    def median(runs, field):
        return statistics.median(getattr(run, field) for run in runs)

    figures = {
        tool: (median(timed, "cpu"), median(timed, "wall"), median(sampled, "memory"))
        for tool, (timed, sampled) in results.items()
    }
    base_tool = "hoist" if "hoist" in figures else next(iter(figures))
    base = figures[base_tool]
    print(
        f"{options.hosts} hosts, fan-out {options.fan_out}, medians of {options.rounds}, "
        f"{os.cpu_count()} cores; ratios to {base_tool}\n"
    )
    print("| tool | version | CPU s | × | CPU ms/host | wall s | × | peak MiB | × |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for tool, (cpu, wall, memory) in figures.items():
        cells = [
            tool,
            version(programs[tool]),
            f"{cpu:.2f}",
            f"{cpu / base[0]:.1f}",
            f"{1000 * cpu / options.hosts:.2f}",
            f"{wall:.2f}",
            f"{wall / base[1]:.1f}",
            f"{memory / 2**20:.1f}",
            f"{memory / max(base[2], 1):.1f}",
        ]
        print(f"| {' | '.join(cells)} |")


def version(program):
    flag = "-V" if program.endswith("pdsh") else "--version"
    shown = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    number = re.search(r"\d+(\.\d+)+", shown.stdout + shown.stderr)
    return number.group() if number else "?"


def free_port():
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


def run(arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
