"""A folder of captures analysed on a Dask cluster: `python fleet_dask.py captures -o captures.parquet`.

With --scheduler the captures must lie where every worker finds them under the same name. A worker that dies
costs what it had not handed over; the rows are those of `lagtape analyze`, in the order of the paths.
"""

import argparse
import os
import signal

import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster, as_completed

import lagtape

# Captures of a task: enough to be worth its message, few enough that a long one holds up little.
CHUNK = 4


def rows(table: str, paths: list[str]) -> pa.Table:
    """Runs on a worker, which has a core of its own."""
    return pa.table(getattr(lagtape, table)(paths, threads=1))


def analyse(client: Client, table: str, paths: list[str], kill_one: bool = False) -> pa.Table:
    chunks = [paths[at : at + CHUNK] for at in range(0, len(paths), CHUNK)]
    futures = client.map(rows, [table] * len(chunks), chunks, pure=False)
    if kill_one:
        next(iter(as_completed(futures)))
        workers = client.run(os.getpid)
        os.kill(next(iter(workers.values())), signal.SIGKILL)
    return pa.concat_tables(client.gather(futures))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("paths", nargs="+", help="captures, folders or patterns")
    arguments.add_argument("-o", "--out", required=True, help="the Parquet file")
    arguments.add_argument("--table", default="reports", help="a function of lagtape, such as episodes")
    arguments.add_argument("--scheduler", help="address of a cluster; a local one by default")
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--kill-one", action="store_true", help="kill a worker on the way, to see that it holds")
    args = arguments.parse_args()
    # Workers may have other working directories.
    paths = [os.path.abspath(path) for path in lagtape.captures(args.paths)]
    cluster = args.scheduler or LocalCluster(
        n_workers=args.workers, threads_per_worker=1, dashboard_address=None
    )
    with Client(cluster) as client:
        table = analyse(client, args.table, paths, args.kill_one)
    pq.write_table(table, args.out, compression="zstd")
    print(f"wrote {args.out}: {table.num_rows} rows")


if __name__ == "__main__":
    main()
