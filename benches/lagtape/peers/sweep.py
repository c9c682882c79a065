"""One scenario more, by a loop and by numpy, from the same columns as ours.

Usage: sweep.py FOLDER RATE, where FOLDER holds the columns as raw little-endian arrays.
"""

import json
import pathlib
import sys

from peer import need, serve
from tracker import BUCKET_S, STALE_THRESHOLD_S, Playhead, Tracker, report

(np,) = need("numpy")

FOLDER, RATE = pathlib.Path(sys.argv[1]), float(sys.argv[2])
META = json.loads((FOLDER / "meta.json").read_text())
FRAMES, SAMPLE_RATE = META["frames"], META["sample_rate"]
BUCKETS, WIDTH = META["buckets"], BUCKET_S * SAMPLE_RATE
ORIGIN_S, BEGAN_S = META["origin_s"], META["began_s"]


def column(name, kind):
    return np.fromfile(FOLDER / name, dtype=kind)


SLICE_T, TICK_T = column("slice_t", "<f8"), column("tick_t", "<f8")
START, LENGTH = column("start", "<u4").astype(np.int64), column("length", "<u4").astype(np.int64)
BEFORE = column("ticks_before", "<u4").astype(np.int64)
FROM, UNTIL = column("from", "<u4").astype(np.int64), column("until", "<u4").astype(np.int64)


# A plain loop: the events one after another.


def events():
    slices = list(zip(SLICE_T.tolist(), START.tolist(), LENGTH.tolist()))
    ticks, done = TICK_T.tolist(), 0
    for (now, start, length), before in zip(slices, BEFORE.tolist()):
        yield from (("tick", tick, 0, 0) for tick in ticks[done:before])
        done = before
        yield ("slice", now, start, length)
    yield from (("tick", tick, 0, 0) for tick in ticks[done:])


EVENTS = list(events())


def loop():
    playhead = Playhead(ORIGIN_S, FRAMES, SAMPLE_RATE, RATE)
    tracker = Tracker(BEGAN_S, FRAMES, SAMPLE_RATE)
    for kind, now, start, length in EVENTS:
        if kind == "slice":
            tracker.on_slice(now, start, length, playhead.frame(now))
        else:
            tracker.on_tick(now, playhead.frame(now))
    return tracker.report()


# The same loop as fast as plain Python gets: no classes, no calls, buckets known beforehand.

LISTS = [column.tolist() for column in (SLICE_T, START, FROM, UNTIL, BEFORE)]
TICKS = TICK_T.tolist()


def flat():
    refreshed = [BEGAN_S] * BUCKETS
    leads, ages, done, half = [], [], 0, FRAMES // 2
    step, width, end = RATE * SAMPLE_RATE, WIDTH, len(TICKS)
    for now, start, first, until, before in zip(*LISTS):
        for tick in TICKS[done:before]:
            bucket = int(((tick - ORIGIN_S) * step % FRAMES) // width)
            ages.append(tick - refreshed[bucket])
        done = before
        lead = (start - int((now - ORIGIN_S) * step % FRAMES)) % FRAMES
        leads.append((lead - FRAMES if lead >= half else lead) / SAMPLE_RATE)
        refreshed[first:until] = [now] * (until - first)
    for tick in TICKS[done:end]:
        bucket = int(((tick - ORIGIN_S) * step % FRAMES) // width)
        ages.append(tick - refreshed[bucket])
    return report(leads, ages)


# Vectorised: which slices refresh a bucket, and when, is laid out once for all scenarios, so that a
# scenario finds the last refresh of each tick's bucket by one binary search over all of them.

COUNTS = UNTIL - FROM
NUMBER = np.repeat(np.arange(len(FROM)), COUNTS)
OFFSET = np.arange(len(NUMBER)) - np.repeat(np.cumsum(COUNTS) - COUNTS, COUNTS)
KEYS = np.append(-1, np.sort((FROM[NUMBER] + OFFSET) * (len(FROM) + 1) + NUMBER))
ARRIVED = np.searchsorted(BEFORE, np.arange(len(TICK_T)), side="right")
STAMPS = np.append(SLICE_T, BEGAN_S)


def frame(times):
    return np.mod((times - ORIGIN_S) * RATE * SAMPLE_RATE, FRAMES).astype(np.int64)


def vectorised():
    lead = np.mod(START - frame(SLICE_T), FRAMES)
    lead = np.where(lead >= FRAMES // 2, lead - FRAMES, lead) / SAMPLE_RATE
    bucket = np.minimum(BUCKETS - 1, (frame(TICK_T) / WIDTH).astype(np.int64))
    base = bucket * (len(FROM) + 1)
    key = KEYS[np.searchsorted(KEYS, base + ARRIVED) - 1]
    age = np.maximum(0.0, TICK_T - STAMPS[np.where(key >= base, key - base, -1)])
    return {
        "behind": int(np.count_nonzero(lead < 0)),
        "stale": int(np.count_nonzero(age > STALE_THRESHOLD_S)),
        "lead_s": numpy_figures(lead),
        "staleness_s": numpy_figures(age),
    }


def numpy_figures(values):
    quantiles = np.percentile(values, [5, 50, 95]).tolist()
    return [float(values.min()), *quantiles, float(values.max()), float(values.mean())]


serve(
    {"loop": loop(), "flat": flat(), "numpy": vectorised()},
    {"loop": loop, "flat": flat, "numpy": vectorised},
)
