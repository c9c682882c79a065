"""A small server of the protocol for the recording client to be tried against.

Sends its initial buffer and a large slice in fragments, offers permessage-deflate as websockets
does by default, and prints what it saw as one JSON object.
"""

import asyncio
import json
import struct

from websockets.asyncio.server import serve

FRAMES = 524_288  # of one channel: 1 MiB of halves


def fragments(message, size=262_144):
    for at in range(0, len(message), size):
        yield message[at : at + size]


async def session(socket, seen, done):
    seen["config"] = json.loads(await socket.recv())["fixture_name"]
    seen["extensions"] = len(socket.protocol.extensions)
    ready = {"type": "ready", "sample_rate": 48000, "channels": 1}
    await socket.send(json.dumps(ready))
    await socket.send(fragments(bytes(FRAMES * 2)))
    header = struct.pack("<BIIHffI", 0, 9600, FRAMES - 9600, 1, 40.0, 7.0, 1)
    await socket.send(fragments(header + bytes((FRAMES - 9600) * 2)))
    await socket.send(json.dumps({"type": "params_update", "params": {}}))
    acknowledged = len(header) + (FRAMES - 9600) * 2
    async for message in socket:
        params = json.loads(message)
        seen["reports"] = seen.get("reports", 0) + 1
        if params.get("slice_bytes_rx") == acknowledged:
            seen["acknowledged"] = True
    done.set()


async def main():
    seen, done = {}, asyncio.Event()
    async with serve(lambda socket: session(socket, seen, done), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        print(port, flush=True)
        await done.wait()
    print(json.dumps(seen))


asyncio.run(main())
