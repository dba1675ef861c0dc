"""What has been measured so far, in a JSON file: a run that was stopped goes on where it was."""

import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import re
import statistics
import subprocess


class State:
    """`cells` maps a case's key to its samples: `timed`, a list of records, and `memory`, of bytes."""

    def __init__(self, path, programs, versions):
        self.path, self.cells = pathlib.Path(path), {}
        self.head = {"hoist": digest(programs["hoist"]), "machine": machine(), "versions": versions}
        with contextlib.suppress(FileNotFoundError):
            kept = json.loads(self.path.read_text())
            if kept["head"]["hoist"] != self.head["hoist"]:
                raise ValueError(f"{self.path} was measured with another hoist: --fresh begins anew, --state keeps both")
            self.cells, self.head["machine"] = kept["cells"], kept["head"]["machine"]
            self.head["versions"] = kept["head"]["versions"] | versions

    def samples(self, key, kind):
        return self.cells.setdefault(key, {}).setdefault(kind, [])

    def add(self, key, kind, sample):
        """Keeps a sample, whatever happens next."""
        self.samples(key, kind).append(sample)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"head": self.head, "cells": self.cells}, indent=1))
        os.replace(new, self.path)

    def was_cut(self, key):
        """Whether a run took too long and was ended."""
        return any(sample["is_cut"] for sample in self.cells.get(key, {}).get("timed", []))

    def median(self, key, field):
        """Returns the median of a field over the timed runs, or None where there is none."""
        samples = [sample[field] for sample in self.cells.get(key, {}).get("timed", [])]
        samples = [sample for sample in samples if sample is not None]
        return statistics.median(samples) if samples else None

    def least_wall(self, key):
        """Returns the shortest wall time, which other work on the machine has disturbed least."""
        return min((sample["wall"] for sample in self.cells.get(key, {}).get("timed", [])), default=None)

    def memory(self, key):
        """Returns the median of the peaks, or None where none was sampled or some host didn't answer."""
        samples = self.cells.get(key, {}).get("memory", [])
        if None in samples:
            return None
        return statistics.median(samples) if samples else None


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def machine():
    """Describes where this is measured."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.strip()
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    return (
        f"{len(os.sched_getaffinity(0))} cores of {cpu.group(1) if cpu else os.uname().machine}, "
        f"{memory / 2**20:.0f} GiB, {system.group(1) if system else 'Linux'} "
        f"(Linux {os.uname().release.split('-')[0]}), {ssh}, {datetime.date.today()}"
    )
