"""Both ends of a connection, as Python's websockets makes them with its default settings.

Usage: proxy_peer.py serve            prints its port, echoes one connection, prints what it got
       proxy_peer.py talk URL         sends messages of many sorts and hears them come back
Both end with one JSON object; messages are told by type and SHA-256.
"""

import asyncio
import hashlib
import json
import random
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def told(message):
    kind, payload = ("t", message.encode()) if isinstance(message, str) else ("b", message)
    return kind + hashlib.sha256(payload).hexdigest()


def extensions(socket):
    return [type(extension).__name__ for extension in socket.protocol.extensions]


async def echo():
    received, done = [], asyncio.Event()

    async def session(socket):
        try:
            while True:
                message = await socket.recv()
                received.append(told(message))
                await socket.send(message)
        except ConnectionClosed:
            pass
        print(json.dumps({"received": received, "close": [socket.close_code, socket.close_reason],
                          "extensions": extensions(socket)}))
        done.set()

    async with serve(session, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await done.wait()


def messages():
    chance = random.Random(7)
    for length in (0, 1, 125, 126, 3_000, 65_535, 65_536, 2_000_000):
        for noisy in (True, False):
            yield chance.randbytes(length) if noisy else b"lag " * (length // 4)
            yield "".join(chance.choices("aé€", k=length // 3)) if noisy else "tape " * (length // 5)


async def fragments(message, size):
    for at in range(0, len(message), size):
        yield message[at : at + size]


async def talk(url):
    sent, received = [], []
    async with connect(url, max_size=None, proxy=None) as socket:
        for i, message in enumerate(messages()):
            sent.append(told(message))
            in_pieces = len(message) > 10_000
            await socket.send(fragments(message, 262_144) if in_pieces else message)
            if i % 5 == 0:
                await (await socket.ping(b"still there?"))
            received.append(told(await socket.recv()))
        found = extensions(socket)
        await socket.close(4000, "done")
    print(json.dumps({"sent": sent, "received": received, "extensions": found}))


asyncio.run(echo() if sys.argv[1] == "serve" else talk(sys.argv[2]))
