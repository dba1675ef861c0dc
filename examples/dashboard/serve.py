#!/usr/bin/env python3
"""A web page with two buttons: one raises a fleet with hoist, the other takes it away.

`hoist up … -o jsonl --events` writes a line for everything that happens, and this sends the lines on to
every browser that looks. It is to be read and copied, and needs nothing but Python. README.md tells how to
start it and why it is as it is; docs/events.md is what the lines say.
"""

import argparse
import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

PAGE = pathlib.Path(__file__).with_name("index.html").read_text("utf-8")


def allowed(tag):
    """What the page has between these tags, as a policy names it: nothing else is executed or shown."""
    inside = re.search(f"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL).group(1)
    digest = hashlib.sha256(inside.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


POLICY = (
    f"default-src 'none'; connect-src 'self'; script-src {allowed('script')}; style-src {allowed('style')}; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Work:
    """One run of hoist, and everything that was told of it, for browsers that come later."""

    def __init__(self, what, words):
        self.told = [("begin", json.dumps(what))]
        # A session of its own: Ctrl-C here is told to hoist once, by us, not twice.
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )


class Desk:
    """What browsers see and ask for. One hoist works at a time."""

    def __init__(self, up, down):
        self.words = {"up": up, "down": down}
        self.work = None
        self.is_busy = False
        self.changed = threading.Condition()

    def begin(self, what):
        """Starts hoist, unless it works already; tells whether it was started."""
        with self.changed:
            if self.is_busy:
                return False
            self.work = Work(what, self.words[what])
            self.is_busy = True
            self.changed.notify_all()
        threading.Thread(target=self.watch, args=[self.work]).start()
        return True

    def watch(self, work):
        """Takes down what hoist says until it ends: events, and on stderr what is for people."""
        notes = threading.Thread(target=self.take_down, args=[work, "note", work.process.stderr])
        notes.start()
        self.take_down(work, "hoist", work.process.stdout)
        notes.join()
        code = work.process.wait()
        with self.changed:
            work.told.append(("end", json.dumps(code)))
            self.is_busy = False
            self.changed.notify_all()

    def take_down(self, work, kind, pipe):
        for line in pipe:
            line = line.rstrip("\n")
            with self.changed:
                # Lines of stdout are JSON as they are.
                work.told.append((kind, line if kind == "hoist" else json.dumps(line)))
                self.changed.notify_all()

    def follow(self):
        """Yields what was told, then what is being told; None now and then while nothing is."""
        work, seen = None, 0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.has_news(work, seen), timeout=10)
                if self.work is not work:
                    work, seen = self.work, 0
                news = work.told[seen:] if work else []
                seen += len(news)
            yield from news or [None]

    def has_news(self, work, seen):
        return self.work is not work or (work is not None and len(work.told) > seen)

    def end(self):
        """Asks hoist to stop, as Ctrl-C does. The thread that watches it keeps us here until it has."""
        with self.changed:
            if self.is_busy:
                self.work.process.send_signal(signal.SIGINT)


class Browser(http.server.BaseHTTPRequestHandler):
    """Answers a browser. The browser names nothing but a button: no word of it reaches a command."""

    timeout = 30

    def do_GET(self):
        if not self.is_of_this_page():
            self.answer(403, "another host\n")
        elif self.path == "/":
            self.answer(200, PAGE, "text/html; charset=utf-8")
        elif self.path == "/events":
            self.tell()
        else:
            self.answer(404, "not here\n")

    def do_POST(self):
        what = self.path.removeprefix("/")
        if not self.is_of_this_page() or self.headers.get("Origin") != f"http://{self.headers['Host']}":
            self.answer(403, "another page\n")
        elif what not in self.server.desk.words:
            self.answer(404, "not here\n")
        elif not self.server.desk.begin(what):
            self.answer(409, "hoist is at work\n")
        else:
            self.answer(202, "begun\n")

    def is_of_this_page(self):
        """Whether this server was meant: a name that somebody else points at 127.0.0.1 is refused."""
        port = self.server.server_port
        return self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def tell(self):
        """Sends on what happens, as server-sent events, until the browser goes away."""
        self.head(200, "text/event-stream")
        try:
            for news in self.server.desk.follow():
                text = "event: {}\ndata: {}\n\n".format(*news) if news else ": still here\n\n"
                self.wfile.write(text.encode())
        except OSError:
            # It has gone away; hoist goes on.
            pass

    def answer(self, status, text, kind="text/plain"):
        self.head(status, kind)
        self.wfile.write(text.encode())

    def head(self, status, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    args = argparse.ArgumentParser(description="A web page that raises a fleet and takes it away.")
    args.add_argument("fleet", help="the fleet's name; what it is may stand in hoist's configuration file")
    args.add_argument("--port", type=int, default=8000, help="port of 127.0.0.1 (8000; 0: a free one)")
    args.add_argument("--inventory", default="fleet.csv", help="where servers are written (fleet.csv)")
    args.add_argument("--count", help="how many servers, if the configuration file doesn't tell")
    args.epilog = "What follows `--` is executed on the servers: uptime, if nothing does."
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    args, command = args.parse_args(words[:cut]), words[cut + 1 :] or ["uptime"]

    hoist = os.environ.get("HOIST", "hoist")
    common = [args.fleet, "--yes", "-i", args.inventory, "-o", "jsonl", "--events"]
    count = ["--count", args.count] if args.count else []
    desk = Desk([hoist, "up", *common, *count, "--", *command], [hoist, "down", *common])

    server = http.server.ThreadingHTTPServer(("127.0.0.1", args.port), Browser)
    server.desk = desk
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        desk.end()


if __name__ == "__main__":
    main()
