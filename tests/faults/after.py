"""Faults after the key exchange: a real SSH server (asyncssh) that then misbehaves.

Each fault says what happens at login, to the request for a channel, or to the command. The
command that the client asks for is not executed, except where a fault is about the way there.
"""

import asyncio
import os
import re

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE, MSG_USERAUTH_BANNER, MSG_USERAUTH_FAILURE
from asyncssh.packet import String, UInt32

from before import reset

FAULTS = {}


class Server(asyncssh.SSHServer):
    """Lets the one key in."""

    def connection_made(self, conn):
        self.conn = conn


def fault(server=Server, **options):
    """Enters what handles a command into the table under its own name."""

    def enter(command):
        async def begun(process):
            told = marker(process.command)
            if told is None:
                # The line that ends a command from a channel of its own.
                process.exit(0)
                return
            process.stderr.write(told)
            await command(process)

        FAULTS[command.__name__.replace("_", "-")] = {"process_factory": begun, "server_factory": server, **options}
        return command

    return enter


def marker(line):
    """Returns what a command's wrapper says first on stderr, None for a line without one."""
    text = re.sub(r"\\0([0-7]{3})", lambda digits: chr(int(digits[1], 8)), line)
    start, end = re.search(r"hoist_h=(hoist-[0-9a-f]+)", text), re.search(r'"\$hoist_h"([0-9a-f]+)', text)
    return start and end and f"{start[1]}{end[1]} started 4711 leader\n".encode()


def fault_without_commands(server, **options):
    """Enters a server that lets no command begin."""
    name = re.sub("(?<!^)([A-Z])", r"-\1", server.__name__).lower()
    FAULTS[name] = {"server_factory": server, **options}


async def serve(options, host_key, authorized_keys):
    """Serves one fault on a free port."""
    settings = {
        "encoding": None,
        "line_editor": False,
        "login_timeout": 0,
        "server_host_keys": [host_key],
        "authorized_client_keys": authorized_keys,
        "host": "0.0.0.0",
        "port": 0,
    }
    return await asyncssh.create_server(**{**settings, **options})


def connection(process):
    return process.channel.get_connection()


def request(process, name, *fields):
    """Sends a channel request that wants no reply (RFC 4254 §6.9, §6.10)."""
    process.channel._send_request(name, *fields)


def say(process, data=b"begun\n"):
    process.stdout.write(data)


async def for_ever():
    await asyncio.Event().wait()


async def send_for_ever(conn, number, *fields):
    """Sends a packet again and again, as fast as the client takes it."""
    while True:
        conn.send_packet(number, *fields)
        await asyncio.sleep(0)
        while conn._transport.get_write_buffer_size() > 1_000_000:
            await asyncio.sleep(0.001)


async def fin(process):
    """Closes this side of the connection, after all that was said."""
    connection(process)._transport.write_eof()
    await for_ever()


def status(process, code):
    request(process, b"exit-status", UInt32(code))


# In the key exchange.


class WrongSignature(Server):
    """Proves its host key with a signature of something else."""

    def connection_made(self, conn):
        super().connection_made(conn)
        for pair in conn._server_host_keys.values():
            if not hasattr(pair, "sign_rightly"):
                pair.sign_rightly = pair.sign
                pair.sign = lambda data, pair=pair: pair.sign_rightly(data + b"!")


fault_without_commands(WrongSignature)


# At login.


class AuthNeverAnswered(Server):
    def public_key_auth_supported(self):
        return True

    async def validate_public_key(self, _username, _key):
        await for_ever()


class LongBanner(Server):
    def begin_auth(self, _username):
        for _ in range(64):
            self.conn.send_auth_banner("\x1b[2Jwelcome\r\n" + "x" * 16384)
        return True


class NoMethods(Server):
    def public_key_auth_supported(self):
        return False


class FinAtLogin(Server):
    async def begin_auth(self, _username):
        self.conn._transport.write_eof()
        await for_ever()


class DisconnectAtLogin(Server):
    async def begin_auth(self, _username):
        self.conn._send_disconnect(2, "\x1b[2Jnot you\nweb1: ok", "")
        await for_ever()


class OversizedBanner(Server):
    """One packet that is larger than any may be."""

    def begin_auth(self, _username):
        self.conn.send_auth_banner("x" * 1_048_576)
        return True


class EndlessBanners(Server):
    async def begin_auth(self, _username):
        await send_for_ever(self.conn, MSG_USERAUTH_BANNER, String(b"x" * 30000), String(b""))


fault_without_commands(AuthNeverAnswered, authorized_client_keys=None)
fault_without_commands(NoMethods, authorized_client_keys=None)
fault_without_commands(FinAtLogin)
fault_without_commands(DisconnectAtLogin)
fault_without_commands(OversizedBanner)
fault_without_commands(EndlessBanners)


@fault(LongBanner)
async def megabyte_of_banner(process):
    say(process)
    process.exit(0)


# At login, to who has a password: questions (RFC 4256). Who gives an answer where there should be
# none is let in.


class Questions(Server):
    """Asks one request after another; each is an instruction and questions, some shown when typed."""

    requests = []

    def public_key_auth_supported(self):
        return False

    def kbdint_auth_supported(self):
        return True

    def get_kbdint_challenge(self, _username, _lang, _submethods):
        self.left = iter(self.requests)
        return self.ask()

    def validate_kbdint_response(self, _username, responses):
        if [response for response in responses if response not in ("", "secret word")]:
            return False
        return self.ask() or True

    def ask(self):
        request = next(self.left, None)
        return request and ("", request[0], "", request[1:])


PASSWORD, CODE = ("Password: ", False), ("Verification code: ", False)


class AsksForTwoThings(Questions):
    requests = [("", PASSWORD, CODE)]


class AsksForMoreAfterThePassword(Questions):
    requests = [("", PASSWORD), ("Look at your token", CODE)]


class AsksForThePasswordAgain(Questions):
    requests = [("", PASSWORD), ("", PASSWORD)]


class AsksForWhatIsShown(Questions):
    requests = [("", ("Your name: ", True))]


class AsksWithEscapes(Questions):
    requests = [("\x1b[2Jweb1:\nok", *[("\x1b]0;you\x07\n\u202eare" + "x" * 500, True)] * 50)]


class AsksForNothingForEver(Questions):
    requests = [("Wait",)] * 100_000


class AsksForAPasswordAndForNothing(Questions):
    requests = [("Welcome",), ("", PASSWORD), ("It was changed yesterday",)]


class AsksWithoutWords(Questions):
    requests = [("", ("", False))]


fault_without_commands(AsksForTwoThings, authorized_client_keys=None)
fault_without_commands(AsksForMoreAfterThePassword, authorized_client_keys=None)
fault_without_commands(AsksForThePasswordAgain, authorized_client_keys=None)
fault_without_commands(AsksForWhatIsShown, authorized_client_keys=None)
fault_without_commands(AsksWithEscapes, authorized_client_keys=None)
fault_without_commands(AsksForNothingForEver, authorized_client_keys=None)


@fault(AsksForAPasswordAndForNothing, authorized_client_keys=None)
async def asks_for_a_password_and_for_nothing(process):
    say(process)
    process.exit(0)


@fault(AsksWithoutWords, authorized_client_keys=None)
async def asks_without_words(process):
    say(process)
    process.exit(0)


class UnreadableMethods(Server):
    """Takes no key and says in no text what it takes."""

    def public_key_auth_supported(self):
        return False

    def begin_auth(self, _username):
        self.conn.send_packet = self.garbling(self.conn.send_packet)
        return True

    def garbling(self, send):
        def instead(number, *fields, **options):
            if number == MSG_USERAUTH_FAILURE:
                fields = (String(b"\xff\xfe,password"), fields[-1])
            return send(number, *fields, **options)

        return instead


fault_without_commands(UnreadableMethods, authorized_client_keys=None)


# To the requests for a channel and for a command.


class ChannelRefused(Server):
    def session_requested(self):
        return False


class ExecRefused(Server):
    def session_requested(self):
        class Session(asyncssh.SSHServerSession):
            def exec_requested(self, _command):
                return False

        return Session()


class ChannelNeverOpened(Server):
    async def session_requested(self):
        await for_ever()


class ExecNeverAnswered(Server):
    """Does something else instead of an answer: nothing."""

    def session_requested(self):
        class Session(asyncssh.SSHServerSession):
            def connection_made(self, chan):
                chan._process_exec_request = lambda packet: packet.get_string() and instead(chan)

        instead = self.instead
        return Session()

    def instead(self, channel):
        return None


class CloseForAnAnswer(ExecNeverAnswered):
    def instead(self, channel):
        channel.close()


class FinForAnAnswer(ExecNeverAnswered):
    def instead(self, channel):
        self.conn._transport.write_eof()


class DisconnectForAnAnswer(ExecNeverAnswered):
    def instead(self, channel):
        self.conn._send_disconnect(11, "\x1b[2Jnot today", "")


fault_without_commands(ChannelRefused)
fault_without_commands(ChannelNeverOpened)
fault_without_commands(ExecRefused)
fault_without_commands(ExecNeverAnswered)
fault_without_commands(CloseForAnAnswer)
fault_without_commands(FinForAnAnswer)
fault_without_commands(DisconnectForAnAnswer)


# To the command: how it ends.


@fault()
async def exit_255(process):
    say(process)
    process.exit(255)


@fault()
async def exit_256(process):
    say(process)
    status(process, 256)
    process.channel.close()


@fault()
async def exit_4294967295(process):
    status(process, 0xFFFFFFFF)
    process.channel.close()


@fault()
async def signalled(process):
    say(process)
    process.exit_with_signal("SEGV", True, "\x1b[2Jdumped")


@fault()
async def odd_signal(process):
    process.exit_with_signal("\x1b[31mBOOM@example", False, "")


@fault()
async def no_status(process):
    say(process)
    process.channel.close()


@fault()
async def fin_in_output(process):
    say(process)
    await fin(process)


@fault()
async def rst_in_output(process):
    say(process)
    await asyncio.sleep(0.2)
    reset(asyncio.StreamWriter(connection(process)._transport, None, None, asyncio.get_running_loop()))


@fault()
async def much_then_fin(process):
    say(process, b"0123456789abcde\n" * 8192)
    await fin(process)


@fault()
async def disconnect_in_output(process):
    say(process)
    connection(process).disconnect(11, "\x1b[2Jgoing down")


@fault()
async def farewell_in_output(process):
    """A DISCONNECT with nothing else before it."""
    say(process)
    connection(process)._send_disconnect(11, "\x1b[2Jgoing down\nweb1: ok", "")
    await for_ever()


@fault()
async def noise_in_output(process):
    say(process)
    connection(process)._transport.write(bytes(range(255, -1, -1)) * 64)
    await for_ever()


@fault()
async def forged_packet_in_output(process):
    say(process)
    conn = connection(process)
    send = conn._send
    # The last byte belongs to the MAC.
    conn._send = lambda data: send(data[:-1] + bytes([data[-1] ^ 1]))
    say(process, b"forged\n")
    await for_ever()


@fault()
async def status_then_fin(process):
    say(process)
    status(process, 0)
    await fin(process)


@fault()
async def frozen_in_output(process):
    say(process)
    connection(process)._transport.pause_reading()
    await for_ever()


@fault()
async def eof_and_status_but_no_close(process):
    say(process)
    process.channel.write_eof()
    status(process, 0)
    await for_ever()


@fault()
async def eof_but_no_status(process):
    say(process)
    process.channel.write_eof()
    await for_ever()


@fault()
async def status_but_no_eof(process):
    say(process)
    status(process, 0)
    await for_ever()


@fault()
async def status_then_endless_output(process):
    status(process, 0)
    while True:
        say(process, b"more\n" * 1000)
        await process.stdout.drain()


@fault()
async def never_ends(process):
    say(process)
    await for_ever()


@fault()
async def drips(process):
    while True:
        say(process, b".")
        await asyncio.sleep(0.1)


@fault()
async def floods(process):
    while True:
        say(process, b"flood\n" * 5000)
        await process.stdout.drain()


@fault()
async def new_keys_with_half_a_packet(process):
    """Begins a key exchange, with the next packet in two pieces, and never ends it."""
    say(process)
    conn, sent = connection(process), []
    conn._send = sent.append
    conn._send_kexinit()
    conn.send_packet(MSG_IGNORE, String(bytes(200)))
    data = b"".join(sent)
    conn._transport.write(data[:-100])
    await asyncio.sleep(0.3)
    conn._transport.write(data[-100:])
    await for_ever()


@fault()
async def floods_beyond_the_window(process):
    conn, channel = connection(process), process.channel
    await send_for_ever(conn, MSG_CHANNEL_DATA, UInt32(channel._send_chan), String(b"flood\n" * 5000))


@fault()
async def floods_with_ignore(process):
    say(process)
    await send_for_ever(connection(process), MSG_IGNORE, String(b"x" * 30000))


@fault()
async def floods_with_what_nobody_asked_for(process):
    say(process)
    await send_for_ever(connection(process), MSG_USERAUTH_BANNER, String(b"x" * 30000), String(b""))


# To the command: its bytes.


@fault()
async def stderr_before_stdout(process):
    process.stderr.write(b"e" * 3_000_000)
    await process.stderr.drain()
    say(process, b"o" * 3_000_000)
    await process.stdout.drain()
    process.exit(0)


@fault()
async def no_final_newline(process):
    say(process, b"one\ntwo")
    process.exit(0)


@fault()
async def every_byte(process):
    say(process, bytes(range(256)) + b"\r\n\xc3\x28\x1b[2J\x00")
    process.exit(0)


@fault()
async def imitates_others(process):
    say(process, b"good1: all is lost\nweb\r\rgood2: rm -rf\n")
    process.exit(0)


@fault(rekey_bytes=200_000)
async def rekeys_in_the_middle(process):
    for number in range(2000):
        say(process, b"%0999d\n" % number)
        await process.stdout.drain()
    process.exit(0)


@fault(max_pktsize=1, window=1)
async def tiny_packets(process):
    conn, channel = connection(process), process.channel
    for byte in b"tiny" * 250:
        conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel._send_chan), String(bytes([byte])))
    process.exit(0)


@fault()
async def empty_packets(process):
    conn, channel = connection(process), process.channel
    for _ in range(2000):
        conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel._send_chan), String(b""))
    say(process)
    process.exit(0)


@fault()
async def data_for_another_channel(process):
    conn = connection(process)
    conn.send_packet(MSG_CHANNEL_DATA, UInt32(77), String(b"not yours"))
    say(process)
    process.exit(0)


@fault()
async def unreadable_status(process):
    say(process)
    request(process, b"exit-status", b"\x00")
    process.channel.close()


@fault()
async def status_before_output(process):
    status(process, 0)
    await asyncio.sleep(0.1)
    say(process)
    process.channel.write_eof()
    process.channel.close()


@fault(max_pktsize=1, window=1)
async def takes_a_byte_at_a_time(process):
    say(process, await process.stdin.read())
    process.exit(0)


@fault()
async def closes_stdin(process):
    process.channel.pause_reading()
    say(process)
    process.exit(0)


@fault()
async def odd_requests(process):
    conn = connection(process)
    conn._global_request_queue.clear()
    for name in [b"hostkeys-00@openssh.com", b"\x1b[2J", b"x" * 4000]:
        request(process, name, os.urandom(64))
    say(process)
    process.exit(0)
