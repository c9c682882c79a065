from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

__version__: str
TABLES: list[str]

class CaptureError(Exception):
    path: str
    offset: int | None

class Table:
    columns: list[tuple[str, str, str]]
    paths: list[PathLike[str]]
    def __init__(
        self,
        table: str,
        paths: Sequence[str],
        columns: Sequence[str],
        from_s: float | None,
        to_s: float | None,
        quick: bool,
        headers_only: bool,
        threads: int,
        progress: Callable[[int, int], object] | None,
        scenarios: Sequence[tuple[str, str]],
    ) -> None: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

class Audio:
    channels: int
    sample_rate: int
    shape: tuple[int, int]
    __array_interface__: dict[str, Any]
    def __len__(self) -> int: ...

class Capture:
    path: PathLike[str]
    json: str
    text: str
    def __init__(self, path: str, *, strict: bool = False, headers_only: bool = False) -> None: ...
    def picture(self, form: str = "svg") -> bytes: ...
    def audio(self, *, buffer: bool = False, from_s: float | None = None, to_s: float | None = None) -> Audio: ...

def main(words: Sequence[str]) -> int: ...
def captures(paths: Sequence[str]) -> list[PathLike[str]]: ...
def edges(column: str) -> list[float]: ...
def schema(table: str) -> list[tuple[str, str, str, str]]: ...
