"""One run of one program: its times, its output, and its memory where that is sampled."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import threading
import time

PIPE_SIZE = 1 << 20
KEPT = 1 << 22


class Run:
    """Runs a program to its end, or ends it and its children after `limit` seconds.

    `cpu` is user and system time of the program and all its children, in seconds; `wall` the time
    until it has ended, `first` until it wrote `word` to stdout (None: never). `lines` counts the
    lines with `word`, but not those in which the tool repeats `typed`, the command; `size` the bytes
    on stdout. `memory` is the largest sum of proportional set
    sizes (PSS), in bytes, of the program and its children: sampled only in runs of their own, so
    that sampling doesn't disturb the times.
    """

    def __init__(self, arguments, environment, word=None, typed="", samples=False, limit=600.0):
        self.typed = typed.encode()
        self.word, self.first, self.lines, self.size = word and word.encode(), None, 0, 0
        self.rest, self.stdout = b"", bytearray()
        sampler = Sampler() if samples else None
        with open_temporary() as errors:
            self.started = time.monotonic()
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                start_new_session=True,
            )
            if sampler:
                sampler.start(process.pid)
            self.is_cut = True
            try:
                with process.stdout as stdout:
                    self.is_cut = not self.read(stdout, self.started + limit)
            finally:
                # Also when this program is ended meanwhile.
                if self.is_cut:
                    os.killpg(process.pid, signal.SIGKILL)
                _, status, usage = os.wait4(process.pid, 0)
                self.wall = time.monotonic() - self.started
                self.memory = sampler.stop() if sampler else 0
            errors.seek(0)
            self.stderr = errors.read().decode(errors="replace")
        self.status = process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime

    def read(self, stdout, until):
        """Reads to the end and returns True, or False when it is too late."""
        with contextlib.suppress(PermissionError):  # The user's pipes are large enough already.
            fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        while poll.poll(max(0, until - time.monotonic()) * 1000):
            data = os.read(stdout.fileno(), PIPE_SIZE)
            if not data:
                return True
            self.take(data)
        return False

    def take(self, data):
        self.size += len(data)
        if self.word:
            self.rest += data
            whole, _, self.rest = self.rest.rpartition(b"\n")
            found = sum(self.word in line and self.typed not in line for line in whole.split(b"\n"))
            if found and self.first is None:
                self.first = time.monotonic() - self.started
            self.lines += found
        if len(self.stdout) < KEPT:
            self.stdout += data

    def said(self):
        """Returns the end of what it said, for whoever has to find out what went wrong."""
        return (self.stdout[-300:].decode(errors="replace") + self.stderr[-1200:]).strip()


@contextlib.contextmanager
def open_temporary():
    descriptor = os.memfd_create("stderr")
    with os.fdopen(descriptor, "w+b") as file:
        yield file


class Sampler:
    """Watches the memory of a process and all below it. Made before the process is started."""

    def __init__(self):
        self.parents, self.largest, self.is_over = {}, 0, threading.Event()
        self.look()

    def start(self, root):
        self.root = root
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        pause = 0.0
        while not self.is_over.wait(pause):
            began = time.monotonic()
            self.look()
            self.largest = max(self.largest, sum(pss(pid) for pid in self.family()))
            # Half of the time at most, as it costs the more the more processes there are.
            pause = max(0.005, time.monotonic() - began)

    def stop(self):
        self.is_over.set()
        self.thread.join()
        return self.largest

    def look(self):
        """Learns the parents of new processes; to ask about all of them again would take too long."""
        present = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self.parents = {pid: parent for pid, parent in self.parents.items() if pid in present}
        for pid in present - self.parents.keys():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
                self.parents[pid] = int(stat.read().rpartition(")")[2].split()[1])

    def family(self):
        """Returns the process and all its descendants."""
        children = {}
        for pid, parent in self.parents.items():
            children.setdefault(parent, []).append(pid)
        found, next_ones = [], [self.root]
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
