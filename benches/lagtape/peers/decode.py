"""Slices into a mirror with numpy and zstandard, everything reused that can be.

Usage: decode.py FOLDER, where FOLDER holds the initial buffer and the messages.
"""

import hashlib
import json
import pathlib
import struct
import sys

from peer import need, serve

np, zstandard = need("numpy", "zstandard")

FOLDER = pathlib.Path(sys.argv[1])
HEADER = struct.Struct("<BIIHffI")


def messages():
    blob, at = (FOLDER / "messages").read_bytes(), 0
    for length in json.loads((FOLDER / "lengths.json").read_text()):
        yield blob[at : at + length]
        at += length


MESSAGES = list(messages())
DECOMPRESSOR = zstandard.ZstdDecompressor()
CHANNELS = HEADER.unpack_from(MESSAGES[0])[3]


def new_mirror():
    initial = np.fromfile(FOLDER / "initial", dtype="<f2").astype(np.float32)
    return initial.reshape(-1, CHANNELS)


def decode(mirror):
    for message in MESSAGES:
        flags, start, frames, channels, tick_ms, dec_ms, generations = HEADER.unpack_from(message)
        audio = DECOMPRESSOR.decompress(message[HEADER.size :])
        delta = np.frombuffer(audio, dtype="<f2").reshape(frames, channels)
        end = min(start + frames, len(mirror))
        mirror[start:end] += delta[: end - start]


first = new_mirror()
decode(first)
mirror = new_mirror()
serve(
    {"sha256": hashlib.sha256(first.tobytes()).hexdigest()},
    {"decode": lambda: decode(mirror)},
)
