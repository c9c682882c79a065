"""A relay of messages, as it is written in an afternoon. Usage: relay.py URL. Prints its port."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def forward(source, target):
    async for message in source:
        await target.send(message)


async def session(client):
    async with connect(sys.argv[1], compression=None, max_size=None, proxy=None,
                       ping_interval=None) as server:
        await asyncio.gather(forward(client, server), forward(server, client))


async def main():
    async with serve(session, "127.0.0.1", 0, compression=None, max_size=None,
                     ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
