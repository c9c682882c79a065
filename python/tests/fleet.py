"""Simulated captures analysed by the command, by Dask and by Spark, a worker killed in each: the same rows.

`python fleet.py [--captures N] [--spark]`; every question of docs/FLEET.md is asked of the tables too.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "python" / "examples"
TABLES = {"reports": "captures", "slices": "slices"}


def lagtape(*words: str) -> None:
    program = os.path.join(os.path.dirname(sys.executable), "lagtape")
    code = subprocess.run([program, *words], stdout=subprocess.DEVNULL).returncode
    assert code in (0, 1, 3, 4, 5), f"{words} ended with {code}"


def ordered(table: pa.Table) -> pa.Table:
    """Rows in the order of the command's, without what only some writers add to a schema."""
    keys = [(name, "ascending") for name in ("capture", "seq") if name in table.column_names]
    return table.sort_by(keys)


def same(name: str, found: pa.Table, expected: pa.Table) -> None:
    found, expected = ordered(found), ordered(expected)
    assert found.column_names == expected.column_names, name
    assert found.num_rows == expected.num_rows, f"{name}: {found.num_rows} of {expected.num_rows} rows"
    for column in expected.column_names:
        assert found.column(column).to_pylist() == expected.column(column).to_pylist(), f"{name}.{column}"
    print(f"{name}: {found.num_rows} rows are the same")


def questions(tables: Path) -> None:
    """Every block of SQL in docs/FLEET.md, over the files that its text names."""
    text = (ROOT / "docs" / "FLEET.md").read_text()
    asked = re.findall(r"```sql\n(.*?)```", text, re.S)
    assert asked, "docs/FLEET.md asks nothing"
    database = duckdb.connect()
    for name in ("captures", "episodes", "findings", "slices", "ticks", "events"):
        table = pyarrow.feather.read_table(tables / f"{name}.arrow")
        database.register(name, table)
    for question in asked:
        rows = database.sql(question).fetchall()
        assert rows, f"no answer to: {question}"
    print(f"{len(asked)} questions are answered")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--captures", type=int, default=300)
    arguments.add_argument("--spark", action="store_true")
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        captures, tables = str(folder / "captures"), folder / "tables"
        began = time.monotonic()

        def done(what: str) -> None:
            print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)

        mix = str(Path(__file__).parent / "fleet.toml")
        fleet = ["--fleet", str(args.captures), "--mix", mix, "--headers-only", "--seed", "1"]
        lagtape("simulate", *fleet, "-o", captures)
        # One that is no capture, one that is cut short, and one that takes as long as many.
        (Path(captures) / "text.lagtape").write_text("this is no capture\n")
        some = (Path(captures) / "0001.lagtape").read_bytes()
        (Path(captures) / "cut short.lagtape").write_bytes(some[: len(some) // 2])
        lagtape("simulate", "--for", "60s", "--loop", "4s", "--channels", "1", "-o", captures + "/long.lagtape")
        done("simulated")
        lagtape("analyze", captures, "--arrow", str(tables))
        done("analysed")
        questions(tables)
        expected = {of: pyarrow.feather.read_table(tables / f"{file}.arrow") for of, file in TABLES.items()}
        for of in TABLES:
            out = folder / f"dask-{of}.parquet"
            words = ["fleet_dask.py", captures, "-o", str(out), "--table", of, "--kill-one"]
            subprocess.run([sys.executable, EXAMPLES / words[0], *words[1:]], check=True)
            same(f"dask {of}", pq.read_table(out), expected[of])
            done("dask")
        if not args.spark:
            return
        for of in TABLES:
            out, marker = folder / f"spark-{of}", folder / "kill"
            marker.touch()
            words = ["fleet_spark.py", captures, "-o", str(out), "--table", of, "--kill-marker", str(marker)]
            environment = {
                **os.environ,
                "PYSPARK_PYTHON": sys.executable,
                "PYSPARK_SUBMIT_ARGS": "--master local-cluster[2,1,1024] pyspark-shell",
            }
            subprocess.run([sys.executable, EXAMPLES / words[0], *words[1:]], check=True, env=environment)
            assert not marker.exists(), "no executor was killed"
            same(f"spark {of}", pq.read_table(out), expected[of])
            done("spark")


if __name__ == "__main__":
    main()
