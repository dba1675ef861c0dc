"""Works through the cases: starts the servers they need, runs the tools in turn, keeps the samples."""

import contextlib
import itertools
import os
import sys

from . import parts, servers, tools
from .fleet import Fleet
from .run import Run

ONE_WAY = 0.025


class Bench:
    def __init__(self, folder, programs, state):
        self.folder, self.programs, self.state = folder, programs, state
        self.servers, self.stack, self.numbers = {}, contextlib.ExitStack(), itertools.count()
        self.ten = write_text(folder / "ten", 10 * parts.MIB)
        self.big = write_text(folder / "big", 64 * parts.MIB)

    def __enter__(self):
        servers.make_keys(self.folder)
        return self

    def __exit__(self, *_):
        self.stack.close()

    def port(self, name):
        """Returns where a server listens, which is started when it is needed first."""
        if name not in self.servers:
            made = {
                "simulated": lambda: servers.Simulated(self.folder),
                "sshd": lambda: servers.Sshd(self.folder),
                "silent": servers.Silent,
                "far": lambda: servers.Distant(self.port("simulated"), ONE_WAY),
            }[name]()
            self.servers[name] = self.stack.enter_context(made)
        return self.servers[name].port

    def work(self, part, cases):
        cases = [case for case in cases if case.tool in self.programs]
        for number in range(max((max(case.timed, case.memory) for case in cases), default=0)):
            for case in cases:
                for kind, wanted in (("timed", case.timed), ("memory", case.memory)):
                    taken = len(self.state.samples(case.key, kind))
                    # No tool gets the chance to take too long twice.
                    if taken <= number < wanted and not self.state.was_cut(case.key):
                        show(f"{part}: round {number + 1}: {case.key} {kind}")
                        self.state.add(case.key, kind, self.measure(case, kind))

    def measure(self, case, kind):
        run = self.run(case, samples=kind == "memory")
        answers, job = self.answers(case, run), parts.JOBS[case.job]
        if answers < case.hosts and not job.flags:
            show(f"  {answers} of {case.hosts} answered, status {run.status}: {run.said()}")
        if kind == "memory":
            return run.memory if answers == case.hosts else None
        return {"cpu": run.cpu, "wall": run.wall, "first": run.first, "answers": answers, "status": run.status, "is_cut": run.is_cut}

    def run(self, case, samples):
        tool = tools.SSH if case.tool == "ssh" else tools.TOOLS[case.tool]
        program, job = self.programs[case.tool], parts.JOBS[case.job]
        if case.job == "version":
            return Run(tool.version_command(program), dict(os.environ), limit=case.limit)
        fleet = Fleet(self.folder, self.port(job.server), case.hosts)
        names = {"ten": self.ten, "big": self.big, "id": f"m{next(self.numbers)}", "hosts": case.hosts}
        words = [word.format(**names) for word in job.words]
        command = tool.command(fleet, case.fan_out, words, program)
        if job.flags:
            command[2:2] = job.flags
        return Run(command, fleet.environment(), job.word, " ".join(words), samples, case.limit)

    @staticmethod
    def answers(case, run):
        """Returns how many hosts have answered in full."""
        job = parts.JOBS[case.job]
        if run.is_cut:
            return min(run.lines, case.hosts - 1)
        if job.word:
            return min(run.lines, case.hosts)
        return min(run.size // job.size, case.hosts) if job.size else case.hosts


def write_text(path, size):
    """Writes lines of 64 bytes."""
    path.write_bytes((b"0123456789abcdef" * 4)[:63].ljust(64, b"\n") * (size // 64))
    return path


def show(text):
    print(text, file=sys.stderr, flush=True)
