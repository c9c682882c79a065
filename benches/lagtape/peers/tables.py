"""A table of captures with pandas, from the lines of `cat --json`: what one writes who has no tables.

Usage: tables.py FOLDER TIMES, where each *.jsonl in FOLDER is a capture, looked at TIMES times. There are
neither leads nor what was heard in these lines.
"""

import pathlib
import sys

from peer import need, serve

(pd,) = need("pandas")

FILES = sorted(pathlib.Path(sys.argv[1]).glob("*.jsonl"))
TIMES = int(sys.argv[2])


def row(path):
    lines = pd.read_json(path, lines=True)
    seconds = lines["t_ns"] / 1e9
    from_server = lines["dir"] == "s2c"
    binary = lines.index[from_server & (lines["opcode"] == "binary")]
    slices, initial = seconds[binary[1:]], seconds[binary[0]]
    is_tick = ~from_server & lines["text"].str.startswith('{"type":"params"', na=False)
    gaps = slices.diff()
    return {
        "slices": len(slices),
        "ticks": int(is_tick.sum()),
        "down_bytes": int(lines.loc[from_server, "length"].sum()),
        "up_bytes": int(lines.loc[~from_server, "length"].sum()),
        "length_s": seconds.iloc[-1] - initial,
        "slice_gap_s": gaps.max(),
        "slice_interval_p95_s": gaps.quantile(0.95),
    }


def table():
    return pd.DataFrame([row(path) for path in FILES * TIMES])


serve({"rows": table()[: len(FILES)].to_dict(orient="records")}, {"table": table})
