"""The reference's view of a session in plain Python: a playhead, a tracker and its report."""

import math

BUCKET_S = 0.25
STALE_THRESHOLD_S = 3.0


class Playhead:
    def __init__(self, now, frames, sample_rate, rate=1.0):
        self.began, self.frames, self.sample_rate, self.rate = now, frames, sample_rate, rate

    def frame(self, now):
        elapsed = max(0.0, now - self.began)
        return int((elapsed * self.rate * self.sample_rate) % self.frames)


class Tracker:
    def __init__(self, now, frames, sample_rate):
        self.frames, self.sample_rate = frames, sample_rate
        self.width = BUCKET_S * sample_rate
        self.refreshed = [now] * math.ceil(frames / self.width)
        self.slices = []
        self.ticks = []

    def bucket(self, frame):
        return min(len(self.refreshed) - 1, int(frame / self.width))

    def on_slice(self, now, start, length, playhead):
        lead = (start - playhead) % self.frames
        if lead >= self.frames // 2:
            lead -= self.frames
        last = min(start + max(0, length - 1), self.frames - 1)
        for bucket in range(self.bucket(start), self.bucket(last) + 1):
            self.refreshed[bucket] = now
        self.slices.append({"t": now, "start": start, "lead_s": lead / self.sample_rate})

    def on_tick(self, now, playhead):
        age = max(0.0, now - self.refreshed[self.bucket(playhead)])
        playhead_s = playhead / self.sample_rate
        self.ticks.append({"t": now, "playhead_s": playhead_s, "staleness_s": age})

    def report(self):
        leads = [record["lead_s"] for record in self.slices]
        ages = [record["staleness_s"] for record in self.ticks]
        return report(leads, ages)


def report(leads, ages):
    return {
        "behind": sum(1 for lead in leads if lead < 0),
        "stale": sum(1 for age in ages if age > STALE_THRESHOLD_S),
        "lead_s": figures(leads),
        "staleness_s": figures(ages),
    }


def figures(values):
    ordered = sorted(values)
    quantiles = [percentile(ordered, q) for q in (0.05, 0.5, 0.95)]
    return [ordered[0], *quantiles, ordered[-1], sum(values) / len(values)]


def percentile(ordered, q):
    at = (len(ordered) - 1) * q
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
