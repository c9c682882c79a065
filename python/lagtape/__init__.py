"""Captures of realtime generated audio as Arrow tables, and one capture by itself.

A function of many captures returns a :class:`Table`, which any Arrow consumer reads without a copy:
``pyarrow.table(x)``, ``polars.DataFrame(x)``, DuckDB's ``from x``. Nothing is read before that, captures are
read in parallel, and it can be read again. ``paths`` is a name or a list of names of captures, folders (with all
that is below them) or patterns such as ``captures/2026-11-*/*.lagtape``.

A capture that cannot be read is a row of :func:`reports` whose ``verdict`` is ``unreadable``, and of
:func:`damage`; the other tables have no row of it. Times are seconds from the arrival of the initial buffer;
every column says its unit and its meaning in the metadata of the schema, and in :func:`schema`.
"""

from __future__ import annotations

import glob as _glob
import html as _html
import json as _json
import os as _os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import _lagtape
from ._lagtape import TABLES, Audio, CaptureError, Table, __version__, edges

Paths = str | _os.PathLike[str] | Iterable[str | _os.PathLike[str]]
Progress = Callable[[int, int], object]

__all__ = [
    "TABLES",
    "Audio",
    "Capture",
    "CaptureError",
    "Table",
    "captures",
    "damage",
    "edges",
    "episodes",
    "events",
    "findings",
    "messages",
    "open",
    "reports",
    "schema",
    "slices",
    "ticks",
    "what_if",
    "__version__",
]


def captures(paths: Paths) -> list[str]:
    """The captures that names of files and folders and patterns stand for, in the order of their paths.

    Raises FileNotFoundError for a name without a file, and CaptureError for a folder without a capture.
    """
    if isinstance(paths, (str, _os.PathLike)):
        paths = [paths]
    named: list[str] = []
    for given in paths:
        path = _os.fspath(given)
        if _os.path.exists(path):
            named.append(path)
            continue
        found = sorted(_glob.glob(path, recursive=True)) if _glob.has_magic(path) else []
        if not found:
            raise FileNotFoundError(2, "there is no such capture", path)
        named.extend(found)
    return [str(path) for path in _lagtape.captures(named)]


def _table(
    table: str,
    paths: Paths,
    columns: Sequence[str] | None,
    *,
    from_s: float | None = None,
    to_s: float | None = None,
    quick: bool = False,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
    scenarios: Sequence[tuple[str, str]] = (),
) -> Table:
    return Table(
        table,
        captures(paths),
        list(columns or ()),
        from_s,
        to_s,
        quick,
        headers_only,
        threads,
        progress,
        list(scenarios),
    )


def reports(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    quick: bool = False,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each capture: its verdict, its cause, its figures (the table ``captures``).

    columns: only these, in this order.
    quick: take lag and verdict from the checkpoints of captures that have them to their end, which reads a
        hundredth of the bytes; events, knobs and what is odd are left out, and a damaged payload goes unnoticed.
        The column ``from_checkpoints`` says of which captures that was so.
    headers_only: read slice headers only; corrupt payloads go unnoticed.
    threads: captures read at once; 0 is one for each core.
    progress: called with the captures that are done and all of them; returning False ends the stream.
    """
    return _table(
        "captures", paths, columns, quick=quick, headers_only=headers_only, threads=threads, progress=progress
    )


def episodes(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    quick: bool = False,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each spell of lag that a listener heard; with a range, those that began in it (seconds)."""
    return _table(
        "episodes", paths, columns, from_s=from_s, to_s=to_s, quick=quick, headers_only=headers_only,
        threads=threads, progress=progress,
    )


def findings(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    quick: bool = False,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each cause that was found, the worst of a capture first; a range is of their beginnings."""
    return _table(
        "findings", paths, columns, from_s=from_s, to_s=to_s, quick=quick, headers_only=headers_only,
        threads=threads, progress=progress,
    )


def slices(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each slice that landed, with its lead in seconds; with a range, those within it."""
    return _table(
        "slices", paths, columns, from_s=from_s, to_s=to_s, headers_only=headers_only, threads=threads,
        progress=progress,
    )


def ticks(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each report of the client, with position and staleness in seconds."""
    return _table(
        "ticks", paths, columns, from_s=from_s, to_s=to_s, headers_only=headers_only, threads=threads,
        progress=progress,
    )


def messages(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each message, and for each op, gap or break that the recorder noted."""
    return _table(
        "messages", paths, columns, from_s=from_s, to_s=to_s, headers_only=headers_only, threads=threads,
        progress=progress,
    )


def events(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    headers_only: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each thing that happened, as ``lagtape cat --timeline`` lists them."""
    return _table(
        "events", paths, columns, from_s=from_s, to_s=to_s, headers_only=headers_only, threads=threads,
        progress=progress,
    )


def damage(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each capture that is damaged or cannot be read, with the first byte that is wrong."""
    return _table("damage", paths, columns, threads=threads, progress=progress)


def what_if(
    paths: Paths,
    scenarios: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]],
    *,
    columns: Sequence[str] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Table:
    """A row for each scenario of each capture: what would have been heard, and what was.

    With a range (seconds), of that part of each, as if it had been cut out.

    scenarios: by their names, each with the keys of a scenario file (docs/WHATIF.md), such as
        ``{"floor 0.4": {"server": {"lead_floor_s": 0.4}}}``; or a list, numbered from 0.
    """
    if not isinstance(scenarios, Mapping):
        scenarios = {str(number): scenario for number, scenario in enumerate(scenarios)}
    named = [(name, _json.dumps(scenario)) for name, scenario in scenarios.items()]
    return _table(
        "what_ifs", paths, columns, from_s=from_s, to_s=to_s, threads=threads, progress=progress, scenarios=named,
    )


def schema(table: str) -> list[dict[str, str]]:
    """The columns of a table: ``name``, ``type``, ``unit`` and ``about``."""
    return [dict(zip(("name", "type", "unit", "about"), column)) for column in _lagtape.schema(table)]


class Capture:
    """One capture, read whole; :func:`open` makes it."""

    def __init__(self, path: str | _os.PathLike[str], *, strict: bool = False, headers_only: bool = False) -> None:
        self._of = _lagtape.Capture(_os.fspath(path), strict=strict, headers_only=headers_only)

    @property
    def path(self) -> str:
        """Its file."""
        return str(self._of.path)

    def report(self) -> dict[str, Any]:
        """All that ``lagtape analyze --json`` says of it; docs/REPORT.md has the fields."""
        report: dict[str, Any] = _json.loads(self._of.json)
        return report

    def audio(self, *, buffer: bool = False, from_s: float | None = None, to_s: float | None = None) -> Audio:
        """What the listener heard by the session's clock, or with ``buffer`` the loop at the end.

        ``numpy.asarray(audio)`` has a row for each frame and a column for each channel, from -1 to 1, and
        shares its memory. A part is of the session, in seconds from the initial buffer.
        """
        return self._of.audio(buffer=buffer, from_s=from_s, to_s=to_s)

    def plot(self) -> Picture:
        """Leads, staleness and causes over time: a picture, shown by Jupyter as it is."""
        return Picture(self._of.picture("svg"), self._of)

    def slices(self, **options: Any) -> Table:
        """The capture's own :func:`slices`."""
        return slices(self.path, **options)

    def ticks(self, **options: Any) -> Table:
        """The capture's own :func:`ticks`."""
        return ticks(self.path, **options)

    def messages(self, **options: Any) -> Table:
        """The capture's own :func:`messages`."""
        return messages(self.path, **options)

    def events(self, **options: Any) -> Table:
        """The capture's own :func:`events`."""
        return events(self.path, **options)

    def __repr__(self) -> str:
        return self._of.text

    def _repr_html_(self) -> str:
        text = _html.escape(self._of.text)
        try:
            picture = self._of.picture("svg").decode()
        except (CaptureError, OSError, ValueError):
            picture = ""
        return f"<pre>{text}</pre>{picture}"


class Picture:
    """A picture of a capture."""

    def __init__(self, svg: bytes, of: Any) -> None:
        self.svg = svg
        self._of = of

    def png(self) -> bytes:
        """The same in pixels."""
        png: bytes = self._of.picture("png")
        return png

    def _repr_svg_(self) -> str:
        return self.svg.decode()


def open(path: str | _os.PathLike[str], *, strict: bool = False, headers_only: bool = False) -> Capture:  # noqa: A001
    """Reads one capture.

    strict: raise CaptureError for a damaged one too, which is otherwise used as far as it is sound; its
        ``path`` and ``offset`` say where.
    headers_only: read slice headers only, which is faster.
    """
    return Capture(path, strict=strict, headers_only=headers_only)
