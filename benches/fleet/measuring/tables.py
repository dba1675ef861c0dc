"""The samples as Markdown. Ratios are to hoist in the same row of cases; a `–` was not measured."""

from . import parts
from .parts import MIB

NONE = "–"


def all_of(state, names):
    versions = ", ".join(f"{name} {version}" for name, version in state.head["versions"].items())
    sections = [
        f"{state.head['machine']}. {versions}. Medians of {parts.ROUNDS}, or of as many runs as there were.",
        *scale(state, names),
        best(state, names),
        flat(state),
        first(state, names),
        start(state, names),
        trips(state),
        flight(state, names),
        real(state, names),
        *volume(state, names),
        deadlines(state),
    ]
    return "\n\n".join(section for section in sections if section)


def table(title, heads, rows):
    """Returns a table, or nothing where no row holds a figure."""
    rows = [row for row in rows if any(cell != NONE for cell in row[1:])]
    if not rows:
        return ""
    lines = [f"**{title}**", "", f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def number(value, digits):
    return NONE if value is None else f"{value:,.{digits}f}"


def ratio(value, base, digits=1):
    return NONE if value is None or not base else f"{value / base:.{digits}f}"


def times(value, factor):
    return None if value is None else value * factor


def compared(state, title, names, job, hosts, fan_out):
    """One row a tool: CPU, wall, memory, each with its ratio, the first result, hosts answered."""

    def figures(name):
        key = parts.Case(job, name, hosts, fan_out).key
        cpu, wall = state.median(key, "cpu"), state.median(key, "wall")
        return times(cpu, 1000 / hosts), wall, times(state.memory(key), 1 / MIB), state.median(key, "answers"), key

    base = figures("hoist")
    rows = []
    for name in names:
        cpu, wall, memory, answers, key = figures(name)
        row = [name, number(cpu, 2), ratio(cpu, base[0]), number(wall, 2), ratio(wall, base[1])]
        row += [number(memory, 1), ratio(memory, base[2]), number(times(state.median(key, "first"), 1000), 0)]
        rows.append(row + [number(answers, 0)])
    heads = ["tool", "CPU ms/host", "×", "wall s", "×", "peak MiB", "×", "first ms", "answered"]
    return table(title, heads, rows)


def scale(state, names):
    for hosts, fan_out in parts.SCALE:
        some = names + (["ssh"] if hosts == 1 else [])
        title = "1 host" if hosts == 1 else f"{hosts:,} hosts, fan-out {fan_out}"
        yield compared(state, f"Simulated fleet: {title}", some, "echo", hosts, fan_out)


def real(state, names):
    return compared(state, "Real sshd: 100 hosts, fan-out 32", names, "real", 100, 32)


def best(state, names):
    """Every tool at the fan-out where its wall time is shortest."""
    rows, base = [], None
    for name in names:
        walls = {}
        for fan_out in sorted({*parts.BEST, 32, 256}):
            wall = state.median(parts.Case("echo", name, 1000, fan_out).key, "wall")
            if wall is not None:
                walls[fan_out] = wall
        if len(walls) > 2:
            fan_out = min(walls, key=walls.get)
            cpu = state.median(parts.Case("echo", name, 1000, fan_out).key, "cpu")
            base = base or (walls[fan_out], cpu)
            row = [name, str(fan_out), number(walls[fan_out], 2), ratio(walls[fan_out], base[0])]
            rows.append(row + [number(cpu, 2), ratio(cpu, base[1])])
    title = "Simulated fleet: 1,000 hosts, each tool at its best fan-out"
    return table(title, ["tool", "fan-out", "wall s", "×", "CPU ms/host", "×"], rows)


def flat(state):
    def cpu(hosts, fan_out):
        return number(times(state.median(parts.Case("echo", "hoist", hosts, fan_out).key, "cpu"), 1000 / hosts), 2)

    hosts = [100, 1000, 5000, 10000]
    by_hosts = table(
        "hoist: CPU ms per host, by hosts (fan-out 256)",
        ["hosts", *(f"{count:,}" for count in hosts)],
        [["CPU ms/host", *(cpu(count, 256) for count in hosts)]],
    )
    by_fan_out = table(
        f"hoist: CPU ms per host, by fan-out ({parts.FLAT_HOSTS:,} hosts)",
        ["fan-out", *(f"{fan_out:,}" for fan_out in parts.FLAT_FAN_OUTS)],
        [["CPU ms/host", *(cpu(parts.FLAT_HOSTS, fan_out) for fan_out in parts.FLAT_FAN_OUTS)]],
    )
    return "\n\n".join(part for part in (by_hosts, by_fan_out) if part)


def first(state, names):
    rows = []
    lone = state.median(parts.Case("echo", "ssh", 1, 32).key, "first")
    for name in ["ssh"] + names:
        cells = [(1, 32), (100, 32), (1000, 256)]
        found = [state.median(parts.Case("echo", name, *cell).key, "first") for cell in cells]
        row = [name] + [number(times(value, 1000), 0) for value in found]
        rows.append(row + [ratio(found[0], lone, 2)])
    heads = ["tool", "1 host", "100 hosts", "1,000 hosts", "1 host, × of ssh"]
    return table("Time to the first result, ms", heads, rows)


def start(state, names):
    base = state.median(parts.Case("version", "hoist").key, "wall")
    rows = []
    for name in names + ["ssh"]:
        key = parts.Case("version", name).key
        wall, cpu = state.median(key, "wall"), state.median(key, "cpu")
        rows.append([name, number(times(wall, 1000), 1), ratio(wall, base), number(times(cpu, 1000), 1)])
    return table("Start-up: `--version`", ["tool", "wall ms", "×", "CPU ms"], rows)


def trips(state):
    """The way's delay begins after TCP's own round trip, which is therefore added. Shortest times."""
    rows = []
    for name in ["hoist", "ssh", *parts.IN_PROCESS[1:]]:
        near = state.least_wall(parts.Case("echo", name).key)
        far = state.least_wall(parts.Case("far", name).key)
        found = None if near is None or far is None else (far - near) / 0.05 + 1
        rows.append([name, number(found, 1), number(times(near, 1000), 0), number(times(far, 1000), 0)])
    heads = ["tool", "round trips", "near ms", "50 ms away, ms"]
    return table("Round trips for one host, TCP's own among them", heads, rows)


def flight(state, names):
    counts = parts.IN_FLIGHT[1:]
    rows = []
    for name in names:
        alone = state.memory(parts.Case("meet", name).key)
        cells = []
        for hosts in counts:
            peak = state.memory(parts.Case("meet", name, hosts, hosts).key)
            each = None if peak is None or alone is None else (peak - alone) / (hosts - 1) / 1024
            cells.append(number(each, 0))
        rows.append([name, *cells, number(times(alone, 1 / MIB), 1)])
    heads = ["tool", *(f"{count:,} in flight" for count in counts), "MiB with 1"]
    return table("Memory for each further host that runs the command at once, KiB", heads, rows)


def volume(state, names):
    for job, hosts, fan_out, title in (
        ("gigabyte", 1, 1, "Real sshd: 1 GiB from one host"),
        ("ten", 100, 32, "Real sshd: 10 MiB from each of 100 hosts"),
    ):
        size, rows = parts.JOBS[job].size * hosts / 1e6, []
        base = state.median(parts.Case(job, "hoist", hosts, fan_out).key, "cpu")
        for name in names + ["ssh"]:
            key = parts.Case(job, name, hosts, fan_out).key
            cpu, wall = state.median(key, "cpu"), state.median(key, "wall")
            if state.was_cut(key):
                rows.append([name, "took too long", *[NONE] * 4])
                continue
            row = [name, number(wall and size / wall, 0), number(times(cpu, 1000 / size), 2), ratio(cpu, base)]
            row += [number(times(state.memory(key), 1 / MIB), 1), number(state.median(key, "answers"), 0)]
            rows.append(row)
        yield table(title, ["tool", "MB/s", "CPU ms/MB", "×", "peak MiB", "answered"], rows)


def deadlines(state):
    rows = []
    for job, what in (("silent", "`--connect-timeout 2s`, a host that says nothing"), ("endless", "`--timeout 2s`, a command without end")):
        key = parts.Case(job, "hoist").key
        rows.append([what, number(state.median(key, "wall"), 2), number(state.median(key, "status"), 0)])
    return table("hoist: deadlines", ["limit", "ended after s", "exit code"], rows)
