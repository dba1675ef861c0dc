"""Copies a file or folder to or from many hosts through the parallel-ssh library, as its documentation shows.

parallel_ssh_library_files.py put|get HOSTS_FILE PORT USER KEY FAN_OUT SOURCE TARGET
"""

import os
import sys

from gevent import joinall
from pssh.clients import ParallelSSHClient

verb, hosts_file, port, user, key, fan_out, source, target = sys.argv[1:]
with open(hosts_file) as lines:
    hosts = lines.read().split()
client = ParallelSSHClient(
    hosts, port=int(port), user=user, pkey=key, pool_size=int(fan_out), allow_agent=False, identity_auth=False
)
name = os.path.basename(source)
if verb == "put":
    jobs = client.copy_file(source, os.path.join(target, name), recurse=os.path.isdir(source))
else:
    jobs = client.copy_remote_file(source, os.path.join(target, name), recurse=False)
joinall(jobs, raise_error=True)
