"""Faults before a login, on raw sockets: `async def fault(reader, writer)`.

The binary packets are those of RFC 4253 §6, unencrypted, as before the first key exchange.
"""

import asyncio
import os
import socket
import struct

VERSION = b"SSH-2.0-Faulty_1.0\r\n"
MSG_DISCONNECT, MSG_IGNORE, MSG_KEXINIT = 1, 2, 20

FAULTS = {}


def fault(act):
    """Enters a function into the table under its own name."""
    FAULTS[act.__name__.replace("_", "-")] = act
    return act


async def serve(act):
    """Serves one fault on a free port."""

    async def quietly(reader, writer):
        try:
            await act(reader, writer)
        except OSError:
            # The client may hang up whenever it likes.
            pass
        finally:
            writer.close()

    return await asyncio.start_server(quietly, "0.0.0.0", 0)


def packet(payload):
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def text(value):
    return struct.pack(">I", len(value)) + value


def kexinit(kex=b"curve25519-sha256", host_keys=b"ssh-ed25519", ciphers=b"aes256-ctr", macs=b"hmac-sha2-256"):
    lists = [kex, host_keys, ciphers, ciphers, macs, macs, b"none", b"none", b"", b""]
    return packet(bytes([MSG_KEXINIT]) + os.urandom(16) + b"".join(map(text, lists)) + bytes(5))


async def until_gone(reader):
    """Reads until the client hangs up."""
    while await reader.read(65536):
        pass


async def send_for_ever(writer, data):
    while True:
        writer.write(data)
        await writer.drain()


def reset(writer):
    """Closes with a RST instead of a FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@fault
async def fin(_reader, writer):
    writer.close()


@fault
async def rst(_reader, writer):
    reset(writer)


@fault
async def no_banner(reader, _writer):
    await until_gone(reader)


@fault
async def garbage_banner(reader, writer):
    writer.write(bytes(range(256)) * 2)
    await until_gone(reader)


@fault
async def web_server(_reader, writer):
    writer.write(b"HTTP/1.1 400 Bad Request\r\nServer: \x1b[31mred\r\n\r\n")
    await writer.drain()


@fault
async def too_busy(_reader, writer):
    writer.write(b"Exceeded MaxStartups\r\n")
    await writer.drain()


@fault
async def ssh_1(reader, writer):
    writer.write(b"SSH-1.5-Faulty_1.0\r\n")
    await until_gone(reader)


@fault
async def endless_lines(_reader, writer):
    await send_for_ever(writer, b"a line before the version, again and again\r\n" * 50)


@fault
async def endless_line(_reader, writer):
    await send_for_ever(writer, b"x" * 4096)


@fault
async def tarpit(_reader, writer):
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.4)


@fault
async def silent_after_version(reader, writer):
    writer.write(VERSION)
    await until_gone(reader)


@fault
async def fin_after_version(reader, writer):
    writer.write(VERSION)
    writer.write_eof()
    await until_gone(reader)


@fault
async def fin_after_kexinit(reader, writer):
    writer.write(VERSION + kexinit())
    writer.write_eof()
    await until_gone(reader)


@fault
async def silent_after_kexinit(reader, writer):
    writer.write(VERSION + kexinit())
    await until_gone(reader)


@fault
async def only_sha_1(reader, writer):
    writer.write(VERSION + kexinit(host_keys=b"ssh-rsa,ssh-dss"))
    await until_gone(reader)


@fault
async def no_common_kex(reader, writer):
    writer.write(VERSION + kexinit(kex=b"sntrup761x25519-sha512@openssh.com"))
    await until_gone(reader)


@fault
async def no_common_cipher(reader, writer):
    writer.write(VERSION + kexinit(ciphers=b"3des-cbc,arc\x1b[2Jfour"))
    await until_gone(reader)


@fault
async def four_gibibyte_packet(reader, writer):
    writer.write(VERSION + b"\xff\xff\xff\xff\x04garbage")
    await until_gone(reader)


@fault
async def empty_packet(reader, writer):
    writer.write(VERSION + bytes(64))
    await until_gone(reader)


@fault
async def random_bytes(_reader, writer):
    writer.write(VERSION)
    await send_for_ever(writer, os.urandom(4096))


@fault
async def ignore_flood(_reader, writer):
    writer.write(VERSION)
    await send_for_ever(writer, packet(bytes([MSG_IGNORE]) + text(b"x" * 1000)) * 16)


@fault
async def disconnect_with_escapes(reader, writer):
    words = text("\x1b]0;owned\x07\x1b[2J too many connections".encode())
    writer.write(VERSION + packet(bytes([MSG_DISCONNECT]) + struct.pack(">I", 12) + words + text(b"")))
    await until_gone(reader)
