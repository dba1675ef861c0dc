"""An SFTP server (version 3, on stdin and stdout) that serves real files and has one thing wrong.

Started by a real sshd as its subsystem: `sftp.py FOLDER FAULT [NUMBER]`. Every path is taken within
FOLDER. What each fault does is said where it is done.
"""

import os
import signal
import stat
import struct
import sys

INIT, VERSION, OPEN, CLOSE, READ, LSTAT, FSTAT = 1, 2, 3, 4, 5, 7, 8
OPENDIR, READDIR, REALPATH, STAT, READLINK = 11, 12, 16, 17, 19
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE, UNSUPPORTED = 0, 1, 2, 3, 4, 8

FOLDER, FAULT = sys.argv[1].encode(), sys.argv[2]
NUMBER = int(sys.argv[3]) if len(sys.argv) > 3 else 0
# What `lists` says is in every folder besides.
LISTED = [b"../evil", b"/abs", b"a/b", b"", b"nul\0"]


def string(data):
    return struct.pack(">I", len(data)) + data


def status(code):
    return STATUS, struct.pack(">I", code) + string(b"no") + string(b"")


def attributes(found):
    flags = 1 | 2 | 4 | 8
    times = (int(found.st_atime), int(found.st_mtime))
    return struct.pack(">IQIIIII", flags, found.st_size, 0, 0, found.st_mode, *times)


def file_attributes(mode):
    return struct.pack(">IQIIIII", 15, 3, 0, 0, mode, 1_000_000_000, 1_000_000_000)


class Server:
    """Answers one request after the other."""

    def __init__(self):
        self.handles = {}
        self.count = 0
        self.sent = 0

    def here(self, path):
        return os.path.join(FOLDER, path.lstrip(b"/"))

    def keep(self, thing):
        self.count += 1
        name = str(self.count).encode()
        self.handles[name] = thing
        return HANDLE, string(name)

    def answer(self, kind, body):
        def take():
            nonlocal body
            (length,) = struct.unpack(">I", body[:4])
            data, body = body[4 : 4 + length], body[4 + length :]
            return data

        first = take()
        if kind == REALPATH:
            plain = b"/" + os.path.normpath(b"/" + first).lstrip(b"/")
            return NAME, struct.pack(">I", 1) + string(plain) + string(plain) + struct.pack(">I", 0)
        if kind in (LSTAT, STAT):
            found = (os.lstat if kind == LSTAT else os.stat)(self.here(first))
            return ATTRS, attributes(found)
        if kind == FSTAT:
            return ATTRS, attributes(os.fstat(self.handles[first]))
        if kind == OPENDIR:
            return self.keep(self.names(self.here(first)))
        if kind == READDIR:
            some = self.handles[first]
            return self.some(some)
        if kind == OPEN:
            return self.keep(os.open(self.here(first), os.O_RDONLY))
        if kind == READ:
            return self.read(self.handles[first], *struct.unpack(">QI", body))
        if kind == CLOSE:
            thing = self.handles.pop(first)
            if isinstance(thing, int):
                os.close(thing)
            return status(OK)
        if kind == READLINK:
            target = b"../../../etc/passwd" if FAULT == "links" else os.readlink(self.here(first))
            return NAME, struct.pack(">I", 1) + string(target) + string(b"") + struct.pack(">I", 0)
        return status(UNSUPPORTED)

    def some(self, names):
        block = next(names, None)
        return status(EOF) if block is None else (NAME, block)

    def names(self, folder):
        """Yields what a folder holds, in blocks."""
        names = sorted(os.listdir(folder))
        block = struct.pack(">I", len(names))
        for name in names:
            block += string(name) + string(b"") + attributes(os.lstat(os.path.join(folder, name)))
        if names:
            yield block
        if FAULT == "lists":
            # A name that is a path, which only a host that means ill gives.
            name = LISTED[NUMBER]
            yield struct.pack(">I", 1) + string(name) + string(b"") + file_attributes(stat.S_IFREG | 0o644)
        if FAULT == "links":
            # Links that lead out of the folder.
            yield struct.pack(">I", 1) + string(b"out") + string(b"") + file_attributes(stat.S_IFLNK | 0o777)
        number = 0
        while FAULT == "endless":
            # A folder without end.
            block = struct.pack(">I", 100)
            for _ in range(100):
                number += 1
                block += string(b"%d" % number) + string(b"") + file_attributes(stat.S_IFREG | 0o644)
            yield block

    def read(self, file, offset, length):
        if FAULT in ("cuts", "waits") and self.sent + length > NUMBER:
            if FAULT == "cuts":
                # The link dies in the middle of a file.
                for process in sessions():
                    os.kill(process, signal.SIGKILL)
            # Nothing more comes of a file.
            signal.pause()
        data = os.pread(file, length, offset)
        self.sent += len(data)
        if not data:
            return status(EOF)
        return DATA, string(data)


def sessions():
    """Returns the processes of sshd that this is the work of, without the one that listens."""
    found, process = [], os.getppid()
    while process > 1:
        with open(f"/proc/{process}/stat") as file:
            name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        if name.startswith("sshd"):
            found.append(process)
        process = int(rest.split()[1])
    return found[:-1]


def send(kind, number, body):
    packet = bytes([kind]) + number + body
    sys.stdout.buffer.write(struct.pack(">I", len(packet)) + packet)
    sys.stdout.buffer.flush()


def main():
    server, source = Server(), sys.stdin.buffer
    while len(head := source.read(4)) == 4:
        packet = source.read(struct.unpack(">I", head)[0])
        if packet[0] == INIT:
            send(VERSION, struct.pack(">I", 3), b"")
            continue
        try:
            kind, body = server.answer(packet[0], packet[5:])
        except FileNotFoundError:
            kind, body = status(NO_SUCH_FILE)
        except PermissionError:
            kind, body = status(DENIED)
        except (OSError, KeyError):
            kind, body = status(FAILURE)
        send(kind, packet[1:5], body)


main()
