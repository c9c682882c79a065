"""A client of the protocol in a few lines: what any other client does that knows only its text.

Usage: python_client.py URL SLICES. Prints one JSON object about the session.
"""

import asyncio
import json
import struct
import sys
import time

from websockets.asyncio.client import connect

HEADER = struct.Struct("<BIIHffI")


async def report(socket, received):
    """Tells the server where the listener is, thirty times a second."""
    start = time.monotonic()
    while True:
        now = time.monotonic()
        position = (now - start) % received["duration"]
        message = {"type": "params", "raw": {"denoise": 0.5}, "playback_pos": position,
                   "client_time": now, "slice_bytes_rx": received["slice_bytes"]}
        await socket.send(json.dumps(message))
        await asyncio.sleep(1 / 30)


async def session(url, wanted):
    async with connect(url) as socket:
        await socket.send(json.dumps({"use_server_fixture": True, "fixture_name": "built-in",
                                      "prompt": "dub", "telemetry_version": 1}))
        seen = []
        while not seen or seen[-1]["type"] != "ready":
            seen.append(json.loads(await socket.recv()))
        ready = seen[-1]
        buffer = await socket.recv()
        frames = len(buffer) // 2 // ready["channels"]
        assert frames == round(ready["duration"] * ready["sample_rate"]), (frames, ready)

        received = {"duration": ready["duration"], "slice_bytes": 0}
        reports = asyncio.create_task(report(socket, received))
        generations, coded = [], set()
        while len(generations) < wanted:
            message = await socket.recv()
            if isinstance(message, str):
                kind = json.loads(message)["type"]
                assert kind != "params_update", "a params_update without a slice"
                continue
            flags, start, count, channels, tick_ms, dec_ms, generation = HEADER.unpack_from(message)
            assert channels == ready["channels"] and 0 < count <= frames and start < frames
            assert flags in (0, 1) and (flags == 1 or len(message) == 23 + count * channels * 2)
            assert not generations or (tick_ms > 0 and dec_ms > 0)
            received["slice_bytes"] += len(message)
            update = json.loads(await socket.recv())
            assert update["type"] == "params_update", update
            assert update["params"]["num_gens"] == generation, (update, generation)
            generations.append(generation)
            coded.add(flags)
        reports.cancel()
        assert generations == sorted(generations)
        return {"before": [message["type"] for message in seen],
                "extensions": len(socket.protocol.extensions),
                "buffer": len(buffer), "slices": len(generations), "coded": sorted(coded),
                "knob": update["params"]["denoise"], "prompt": update["params"]["_prompt"]}


print(json.dumps(asyncio.run(asyncio.wait_for(session(sys.argv[1], int(sys.argv[2])), 60))))
