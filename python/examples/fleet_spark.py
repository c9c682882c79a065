"""A folder of captures analysed on Spark: `spark-submit fleet_spark.py captures -o captures.parquet`.

The paths are the data frame, and `mapInArrow` streams the rows of each, so that an executor holds a batch and
not a table. Captures must lie where every executor finds them under the same name, and lagtape must be
installed there.
"""

import argparse
import os
import signal
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

import lagtape

TYPES = {
    "whole": "bigint",
    "number": "double",
    "truth": "boolean",
    "word": "string",
    "wholes": "array<bigint>",
}


def schema(table: str) -> str:
    columns = lagtape.schema("captures" if table == "reports" else table)
    return ", ".join(f"`{column['name']}` {TYPES[column['type']]}" for column in columns)


def analyse(spark: SparkSession, table: str, paths: list[str], parts: int, kill_marker: str = "") -> DataFrame:
    def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path in batch.column("path").to_pylist():
                kill_once(kill_marker)
                stream = getattr(lagtape, table)([path], threads=1)
                yield from pa.RecordBatchReader.from_stream(stream)

    # Long captures first, one after another over all parts, so that none is left with them at the end.
    paths = sorted(paths, key=lambda path: -os.path.getsize(path))
    frame = spark.createDataFrame([(path,) for path in paths], "path string").repartition(parts)
    return frame.mapInArrow(rows, schema(table))


def kill_once(marker: str) -> None:
    """Kills this executor if the marker is there, which one process alone can take away."""
    if not marker:
        return
    try:
        os.rename(marker, marker + ".taken")
    except FileNotFoundError:
        return
    with open(f"/proc/{os.getppid()}/stat") as stat:  # the daemon, a child of the executor
        executor = int(stat.read().rsplit(")", 1)[1].split()[1])
    os.kill(executor, signal.SIGKILL)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("paths", nargs="+", help="captures, folders or patterns")
    arguments.add_argument("-o", "--out", required=True, help="the folder of Parquet files")
    arguments.add_argument("--table", default="reports", help="a function of lagtape, such as episodes")
    arguments.add_argument("--parts", type=int, default=64, help="parts of the work; a few for each executor")
    arguments.add_argument("--kill-marker", default="", help="a file: the executor that takes it away dies")
    args = arguments.parse_args()
    # Executors have other working directories.
    paths = [os.path.abspath(path) for path in lagtape.captures(args.paths)]
    spark = SparkSession.builder.appName("lagtape").getOrCreate()
    frame = analyse(spark, args.table, paths, args.parts, args.kill_marker)
    frame.write.mode("errorifexists").parquet(args.out)
    spark.stop()


if __name__ == "__main__":
    main()
