"""The lag report of a capture, read as docs/FORMAT.md prints it, headers of slices only.

Usage: lag.py CAPTURE
"""

import json
import pathlib
import struct
import sys

from peer import need, serve
from tracker import Playhead, Tracker

google_crc32c, msgpack = need("google_crc32c", "msgpack")

CAPTURE = pathlib.Path(sys.argv[1]).read_bytes()
HEADER = struct.Struct("<BIIHffI")
MESSAGE, TO_SERVER, TEXT, BINARY = 2, 1, 1, 2


def report():
    values = msgpack.Unpacker(max_buffer_size=2**30)
    values.feed(CAPTURE)
    next(values)
    ready = playhead = tracker = None
    for marker, checksum, body in values:
        covered = marker + len(body).to_bytes(4, "big") + body
        assert google_crc32c.value(covered) == checksum
        kind, _, t_ns, _, direction, opcode, payload, *_ = msgpack.unpackb(body)
        if kind != MESSAGE:
            continue
        now = t_ns / 1e9
        if opcode == TEXT:
            message = json.loads(payload)
            if direction == TO_SERVER and tracker and message.get("type") == "params":
                tracker.on_tick(now, playhead.frame(now))
            elif message.get("type") == "ready":
                ready = message
        elif opcode != BINARY or direction == TO_SERVER:
            continue
        elif ready and not tracker:
            frames, rate = len(payload) // 2 // ready["channels"], ready["sample_rate"]
            playhead, tracker = Playhead(now, frames, rate), Tracker(now, frames, rate)
        elif tracker:
            _, start, length, _, _, _, _ = HEADER.unpack_from(payload)
            tracker.on_slice(now, start, length, playhead.frame(now))
    return tracker.report()


serve({"report": report()}, {"report": report})
