"""The hosts in every tool's own form, in a temporary folder."""

import os
import shlex
import subprocess

KINDS = {"hosts": "{host}\n", "fleet.csv": "{host},{port},{user}\n", "fleet.ini": "{host}\n", "fleet.yaml": "    - {host}\n"}
HEADS = {
    "hosts": "",
    "fleet.csv": "name,port,user\n",
    "fleet.ini": "",
    "fleet.yaml": "clusters:\n  fleet:\n    user: {user}\n    port: {port}\n    nodes:\n",
}


class Fleet:
    """So many hosts behind one port, and the ways to log in there."""

    def __init__(self, folder, port, count):
        self.keys, self.port, self.count = folder, port, count
        self.user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
        self.key, self.known_hosts = folder / "client_key", folder / "known_hosts"
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"* {host_key}\n")
        self.folder = folder / f"fleet-{port}-{count}"
        if not self.folder.exists():
            self.folder.mkdir()
            for kind in KINDS:
                self.write(kind)
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)

    def write(self, kind):
        words = {"port": self.port, "user": self.user}
        rows = (KINDS[kind].format(host=host, **words) for host in addresses(self.count))
        (self.folder / kind).write_text(HEADS[kind].format(**words) + "".join(rows))

    def ssh_options(self):
        return [
            "-F/dev/null",
            f"-p{self.port}",
            f"-i{self.key}",
            f"-oUserKnownHostsFile={self.known_hosts}",
            "-oIdentitiesOnly=yes",
            "-oStrictHostKeyChecking=yes",
            "-oBatchMode=yes",
        ]

    def environment(self):
        """No tool sees settings or keys of whoever measures."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "PDSH_SSH_ARGS_APPEND": shlex.join(self.ssh_options()),
            "ANSIBLE_SSH_ARGS": "-oControlMaster=no",
            "ANSIBLE_NOCOWS": "1",
        }


def addresses(count):
    return [f"127.{1 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(count)]
