"""One scenario more, by a loop and by numpy, from the same columns as ours.

Usage: sweep.py FOLDER RATE, where FOLDER holds the columns as raw little-endian arrays.
"""

import json
import math
import pathlib
import sys

from peer import need, serve

(np,) = need("numpy")

FOLDER, RATE = pathlib.Path(sys.argv[1]), float(sys.argv[2])
META = json.loads((FOLDER / "meta.json").read_text())
FRAMES, SAMPLE_RATE = META["frames"], META["sample_rate"]
BUCKETS, WIDTH_S = META["buckets"], META["bucket_s"]
ORIGIN_S, BEGAN_S, THRESHOLD_S = META["origin_s"], META["began_s"], META["stale_threshold_s"]


def column(name, kind):
    return np.fromfile(FOLDER / name, dtype=kind)


SLICE_T, TICK_T = column("slice_t", "<f8"), column("tick_t", "<f8")
START, LENGTH = column("start", "<u4").astype(np.int64), column("length", "<u4").astype(np.int64)
BEFORE = column("ticks_before", "<u4").astype(np.int64)
FROM, UNTIL = column("from", "<u4").astype(np.int64), column("until", "<u4").astype(np.int64)


# A plain loop: a playhead, a tracker, and the events one after another.


class Playhead:
    def __init__(self, now, rate):
        self.began = now
        self.rate = rate

    def frame(self, now):
        elapsed = max(0.0, now - self.began)
        return int((elapsed * self.rate * SAMPLE_RATE) % FRAMES)


class Tracker:
    def __init__(self, now):
        self.refreshed = [now] * BUCKETS
        self.slices = []
        self.ticks = []

    def bucket(self, frame):
        return min(BUCKETS - 1, int(frame / (WIDTH_S * SAMPLE_RATE)))

    def on_slice(self, now, start, length, playhead):
        lead = (start - playhead) % FRAMES
        if lead >= FRAMES // 2:
            lead -= FRAMES
        last = min(start + max(0, length - 1), FRAMES - 1)
        for bucket in range(self.bucket(start), self.bucket(last) + 1):
            self.refreshed[bucket] = now
        self.slices.append({"t": now, "start": start, "lead_s": lead / SAMPLE_RATE})

    def on_tick(self, now, playhead):
        age = max(0.0, now - self.refreshed[self.bucket(playhead)])
        self.ticks.append({"t": now, "playhead_s": playhead / SAMPLE_RATE, "staleness_s": age})

    def report(self):
        leads = [record["lead_s"] for record in self.slices]
        ages = [record["staleness_s"] for record in self.ticks]
        return {
            "behind": sum(1 for lead in leads if lead < 0),
            "stale": sum(1 for age in ages if age > THRESHOLD_S),
            "lead_s": figures(leads),
            "staleness_s": figures(ages),
        }


def percentile(ordered, q):
    at = (len(ordered) - 1) * q
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def figures(values):
    ordered = sorted(values)
    quantiles = [percentile(ordered, q) for q in (0.05, 0.5, 0.95)]
    return [ordered[0], *quantiles, ordered[-1], sum(values) / len(values)]


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
    playhead, tracker = Playhead(ORIGIN_S, RATE), Tracker(BEGAN_S)
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
    step, width, end = RATE * SAMPLE_RATE, WIDTH_S * SAMPLE_RATE, len(TICKS)
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
    return {
        "behind": sum(lead < 0 for lead in leads),
        "stale": sum(age > THRESHOLD_S for age in ages),
        "lead_s": figures(leads),
        "staleness_s": figures(ages),
    }


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
    bucket = np.minimum(BUCKETS - 1, (frame(TICK_T) / (WIDTH_S * SAMPLE_RATE)).astype(np.int64))
    base = bucket * (len(FROM) + 1)
    key = KEYS[np.searchsorted(KEYS, base + ARRIVED) - 1]
    age = np.maximum(0.0, TICK_T - STAMPS[np.where(key >= base, key - base, -1)])
    return {
        "behind": int(np.count_nonzero(lead < 0)),
        "stale": int(np.count_nonzero(age > THRESHOLD_S)),
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
