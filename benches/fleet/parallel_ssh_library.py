"""Executes a command on many hosts through the parallel-ssh library, as its documentation shows.

parallel_ssh_library.py HOSTS_FILE PORT USER KEY FAN_OUT COMMAND prints `host: line` for each line.
"""

import sys

from pssh.clients import ParallelSSHClient

hosts_file, port, user, key, fan_out, command = sys.argv[1:]
with open(hosts_file) as lines:
    hosts = lines.read().split()
client = ParallelSSHClient(
    hosts, port=int(port), user=user, pkey=key, pool_size=int(fan_out), allow_agent=False, identity_auth=False
)
has_failed = False
for output in client.run_command(command, stop_on_errors=False):
    if output.exception:
        print(f"{output.host}: {output.exception!r}", file=sys.stderr)
        has_failed = True
        continue
    for line in output.stdout:
        print(f"{output.host}: {line}")
    has_failed |= output.exit_code != 0
sys.exit(1 if has_failed else 0)
