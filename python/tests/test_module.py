"""The module against pyarrow, Polars, DuckDB and NumPy, and against what the command prints."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import duckdb
import numpy
import polars
import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet

import lagtape

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "captures"
STALL, HEALTHY = str(CAPTURES / "stall.lagtape"), str(CAPTURES / "healthy.lagtape")
FUNCTIONS = {
    "captures": lagtape.reports,
    "episodes": lagtape.episodes,
    "findings": lagtape.findings,
    "slices": lagtape.slices,
    "ticks": lagtape.ticks,
    "messages": lagtape.messages,
    "events": lagtape.events,
    "damage": lagtape.damage,
}


def command(*words: str, code: int | None = 0) -> str:
    """What the command of the wheel prints."""
    ran = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "lagtape"), *words], capture_output=True, text=True
    )
    if code is not None and ran.returncode != code:
        raise AssertionError(f"{words} ended with {ran.returncode}: {ran.stderr}")
    return ran.stdout + ran.stderr


class Tables(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def fleet(self) -> Path:
        """Sound captures, a damaged one, and what is none; one below a folder with an odd name."""
        fleet = self.folder / "fleet"
        below = fleet / "Tür und Tor"
        below.mkdir(parents=True)
        shutil.copy(STALL, fleet)
        shutil.copy(HEALTHY, below / "gesund ü.lagtape")
        damaged = bytearray(Path(STALL).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (fleet / "damaged.lagtape").write_bytes(damaged)
        (fleet / "text.lagtape").write_text("this is no capture\n")
        return fleet

    def test_rows_are_those_of_the_command(self) -> None:
        fleet = str(self.fleet())
        out = self.folder / "tables"
        command("analyze", fleet, "--arrow", str(out), "--tables", ",".join(FUNCTIONS), code=1)
        for name, function in FUNCTIONS.items():
            written = pyarrow.feather.read_table(out / f"{name}.arrow")
            written.validate(full=True)
            table = pyarrow.table(function(fleet))
            table.validate(full=True)
            self.assertEqual(table.schema, written.schema, name)
            self.assertTrue(table.schema.equals(written.schema, check_metadata=True), name)
            self.assertEqual(table.to_pylist(), written.to_pylist(), name)
            self.assertGreater(table.num_rows, 0, name)

    def test_parquet_has_the_same_rows(self) -> None:
        fleet, out = str(self.fleet()), self.folder / "tables"
        tables = ["--tables", ",".join(FUNCTIONS)]
        said = command("analyze", fleet, "--parquet", str(out), *tables, code=None)
        if "without the feature parquet" in said:
            self.assertNotIn("LAGTAPE_REQUIRE_PARQUET", os.environ)
            self.skipTest("this wheel was built without the feature parquet")
        command("analyze", fleet, "--arrow", str(out), *tables, code=1)
        for name in FUNCTIONS:
            expected = pyarrow.feather.read_table(out / f"{name}.arrow")
            written = pyarrow.parquet.read_table(out / f"{name}.parquet")
            self.assertEqual(written.to_pylist(), expected.to_pylist(), name)
            self.assertTrue(written.schema.equals(expected.schema, check_metadata=True), name)
            self.assertEqual(polars.read_parquet(out / f"{name}.parquet").to_dicts(), expected.to_pylist(), name)
            rows = duckdb.sql(f"from '{out}/{name}.parquet'").fetchall()
            self.assertEqual([list(row) for row in rows], [list(row.values()) for row in expected.to_pylist()], name)

    def test_lines_say_the_same(self) -> None:
        fleet = str(self.fleet())
        for form in ("jsonl", "csv"):
            command("analyze", fleet, f"--{form}", str(self.folder / form), code=1)
        for name in ("captures", "episodes", "findings", "slices", "ticks", "events", "damage"):
            lines = (self.folder / "jsonl" / f"{name}.jsonl").read_text().splitlines()
            expected = pyarrow.table(FUNCTIONS[name](fleet)).to_pylist()
            self.assertEqual([json.loads(line) for line in lines], expected, name)
            csv = self.folder / "csv" / f"{name}.csv"
            count = duckdb.sql(f"select count(*) from read_csv('{csv}')").fetchall()
            self.assertEqual(count, [(len(expected),)], name)

    def test_every_consumer_reads_it_again_and_again(self) -> None:
        slices = lagtape.slices([STALL, HEALTHY], columns=["capture", "seq", "lead_s"])
        expected = pyarrow.table(slices).to_pylist()
        self.assertEqual(pyarrow.table(slices).to_pylist(), expected)
        self.assertEqual(polars.DataFrame(slices).to_dicts(), expected)
        self.assertEqual(pandas.DataFrame.from_arrow(slices).to_dict(orient="records"), expected)
        found = duckdb.sql("select capture, min(lead_s) from slices group by 1 order by 1").fetchall()
        least = {}
        for row in expected:
            least[row["capture"]] = min(row["lead_s"], least.get(row["capture"], 9))
        self.assertEqual(found, sorted(least.items()))

    def test_a_range_and_columns_leave_out_the_rest(self) -> None:
        whole = pyarrow.table(lagtape.ticks(STALL)).to_pylist()
        part = pyarrow.table(lagtape.ticks(STALL, from_s=2, to_s=3, columns=["t_s"])).to_pylist()
        self.assertEqual(part, [{"t_s": row["t_s"]} for row in whole if 2 <= row["t_s"] <= 3])
        self.assertTrue(part)
        with self.assertRaisesRegex(ValueError, "no column"):
            lagtape.ticks(STALL, columns=["lead"])

    def test_checkpoints_tell_the_same(self) -> None:
        fleet = str(self.folder / "fleet")
        command("simulate", "--fleet", "6", "--headers-only", "-o", fleet)
        columns = ["verdict", "bad_s", "lag_s", "lead_p5_s", "slices", "lead_histogram", "staleness_histogram"]
        quick = pyarrow.table(lagtape.reports(fleet, quick=True, columns=[*columns, "from_checkpoints"]))
        full = pyarrow.table(lagtape.reports(fleet, columns=columns))
        self.assertEqual(quick.column("from_checkpoints").to_pylist(), [True] * 6)
        self.assertEqual(quick.select(columns).to_pylist(), full.to_pylist())

    def test_histograms_count_every_slice(self) -> None:
        row = pyarrow.table(lagtape.reports(HEALTHY)).to_pylist()[0]
        leads = [slice["lead_s"] for slice in pyarrow.table(lagtape.slices(HEALTHY)).to_pylist()]
        edges = numpy.array([-numpy.inf, *lagtape.edges("lead_histogram"), numpy.inf])
        counts, _ = numpy.histogram(leads, edges)
        self.assertLessEqual(numpy.abs(counts - row["lead_histogram"]).sum(), 2)
        self.assertLessEqual(sum(row["lead_histogram"]), len(leads))

    def test_integers_are_signed(self) -> None:
        for name, function in FUNCTIONS.items():
            for field in pyarrow.table(function(STALL)).schema:
                self.assertFalse(str(field.type).startswith("uint"), f"{name}.{field.name}")
                self.assertIn(b"about", field.metadata)

    def test_what_would_have_been(self) -> None:
        scenarios = {"as it was": {}, "fast": {"playback": {"rate": 1.01}}, "no": {"playback": {"rate": 1.0}}}
        rows = pyarrow.table(lagtape.what_if([STALL, HEALTHY], scenarios)).to_pylist()
        self.assertEqual([row["scenario"] for row in rows], [*scenarios] * 2)
        asked = [row for row in rows if row["scenario"] == "as it was"]
        self.assertEqual([row["lag"] for row in asked], [True, False])
        self.assertEqual([row["bad_s"] for row in asked], [row["recorded_bad_s"] for row in asked])
        # Of a part: what `analyze --from --to` says of it.
        [row] = pyarrow.table(lagtape.what_if(STALL, {"as it was": {}}, from_s=1.0, to_s=4.0)).to_pylist()
        said = json.loads(command("analyze", STALL, "--from", "1s", "--to", "4s", "--json", code=4))
        self.assertEqual(row["bad_s"], said["verdict"]["bad_s"])
        self.assertLess(row["bad_s"], asked[0]["bad_s"])
        with self.assertRaisesRegex(ValueError, "no moment"):
            lagtape.what_if(STALL, {"as it was": {}}, from_s=float("nan"))
        with self.assertRaisesRegex(ValueError, "scenario odd"):
            lagtape.what_if(STALL, {"odd": {"nonsense": 1}})

    def test_progress_is_told_and_ends_it(self) -> None:
        told: list[tuple[int, int]] = []
        pyarrow.table(lagtape.reports([STALL, HEALTHY], progress=lambda *of: told.append(of)))
        self.assertEqual(told, [(1, 2), (2, 2)])
        ended = lagtape.reports([STALL] * 50, progress=lambda done, _: done < 3)
        with self.assertRaises(Exception) as caught:
            pyarrow.table(ended)
        self.assertIn("ended it", str(caught.exception))

        def raises(*_: int) -> None:
            raise RuntimeError("from the callback")

        with self.assertRaisesRegex(Exception, "from the callback"):
            pyarrow.table(lagtape.reports(STALL, progress=raises))

    def test_other_threads_go_on(self) -> None:
        counted = 0

        def reads() -> None:
            pyarrow.table(lagtape.reports([STALL] * 20))

        reader = threading.Thread(target=reads)
        reader.start()
        while reader.is_alive():
            counted += 1
        self.assertGreater(counted, 100)

    def test_ctrl_c_ends_a_stream(self) -> None:
        program = (
            "import lagtape, pyarrow\n"
            f"t = lagtape.reports([{STALL!r}] * 100000, progress=lambda *of: print(*of, flush=True))\n"
            "pyarrow.table(t)\n"
        )
        ran = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert ran.stdout is not None
        ran.stdout.readline()
        ran.send_signal(signal.SIGINT)
        _, said = ran.communicate(timeout=60)
        self.assertIn(b"KeyboardInterrupt", said)

    def test_what_is_wrong_is_said(self) -> None:
        with self.assertRaises(FileNotFoundError) as missing:
            lagtape.reports("nowhere/x.lagtape")
        self.assertEqual(missing.exception.filename, "nowhere/x.lagtape")
        empty = self.folder / "nichts drin ä"
        empty.mkdir()
        with self.assertRaisesRegex(lagtape.CaptureError, "no capture in .*nichts drin ä"):
            lagtape.reports(empty)
        with self.assertRaisesRegex(lagtape.CaptureError, "no capture in .*nichts drin ä") as folder:
            lagtape.open(empty)
        self.assertEqual(str(folder.exception.path), str(empty))
        text = self.fleet() / "text.lagtape"
        with self.assertRaises(lagtape.CaptureError) as none:
            lagtape.open(text)
        self.assertEqual((str(none.exception.path), none.exception.offset), (str(text), 0))
        damaged = self.folder / "fleet" / "damaged.lagtape"
        place = lagtape.open(damaged).report()["damage"]["offset"]
        with self.assertRaises(lagtape.CaptureError) as broken:
            lagtape.open(damaged, strict=True)
        self.assertEqual((str(broken.exception.path), broken.exception.offset), (str(damaged), place))
        short = self.folder / "halb ü.lagtape"
        short.write_bytes(Path(STALL).read_bytes()[:50_000])
        self.assertFalse(lagtape.open(short).report()["complete"])
        gone = lagtape.reports(short)
        short.unlink()
        row = pyarrow.table(gone).to_pylist()[0]
        self.assertEqual((row["capture"], row["verdict"]), (str(short), "unreadable"))
        with self.assertRaises(FileNotFoundError) as missing:
            lagtape.open(short)
        self.assertEqual(missing.exception.filename, str(short))
        rows = pyarrow.table(lagtape.damage(self.folder / "fleet")).to_pylist()
        self.assertEqual([(Path(row["capture"]).name, row["used"]) for row in rows],
                         [("damaged.lagtape", True), ("text.lagtape", False)])
        self.assertEqual(rows[0]["offset"], place)


class OneCapture(unittest.TestCase):
    def test_the_report_is_that_of_the_command(self) -> None:
        report = lagtape.open(STALL).report()
        self.assertEqual(report, json.loads(command("analyze", STALL, "--json", code=4)))

    def test_audio_is_shared_with_numpy(self) -> None:
        capture = lagtape.open(HEALTHY)
        audio, report = capture.audio(), capture.report()
        self.assertAlmostEqual(len(audio) / audio.sample_rate, report["report_at_s"], places=2)
        self.assertEqual(len(capture.audio(buffer=True)), report["epochs"][-1]["frames"])
        samples = numpy.asarray(audio)
        self.assertEqual(samples.shape, audio.shape)
        self.assertEqual(samples.dtype, numpy.float32)
        address, read_only = audio.__array_interface__["data"]
        self.assertEqual(samples.__array_interface__["data"][0], address)
        self.assertTrue(read_only and not samples.flags.writeable)
        self.assertGreater(float(numpy.abs(samples).max()), 0)
        del audio
        self.assertTrue(numpy.isfinite(samples).all())

    def test_jupyter_shows_it(self) -> None:
        shown = lagtape.open(STALL)._repr_html_()
        self.assertIn("LAG", shown)
        self.assertIn("<svg", shown)

    def test_it_is_typed(self) -> None:
        self.assertTrue((Path(lagtape.__file__).parent / "py.typed").exists())


class Command(unittest.TestCase):
    def test_the_command_is_there(self) -> None:
        self.assertEqual(command("--version").strip(), f"lagtape {lagtape.__version__}")
        self.assertIn("exit", command("--help").lower())


if __name__ == "__main__":
    unittest.main()
