"""Any client, played to by a recording: sends a config and tells what it got.

Usage: python_replay.py URL. Prints one JSON object: the types of the texts in their order, the
SHA-256 of every binary message, and how the session was closed.
"""

import asyncio
import hashlib
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def session(url):
    got = {"texts": [], "binaries": []}
    async with connect(url) as socket:
        await socket.send(json.dumps({"fixture_name": "x.wav", "use_server_fixture": True}))
        try:
            while True:
                message = await socket.recv()
                if isinstance(message, str):
                    got["texts"].append(json.loads(message)["type"])
                else:
                    got["binaries"].append(hashlib.sha256(message).hexdigest())
        except ConnectionClosed:
            got["closed"] = [socket.close_code, socket.close_reason]
    return got


print(json.dumps(asyncio.run(asyncio.wait_for(session(sys.argv[1]), 60))))
