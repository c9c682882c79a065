//! How fast lagtape is, beside the physical limit and what a user would pick instead.
//!
//! Each group prints tables. The rows of a table are measured in turns in one process, so that what
//! else the machine does meets all of them alike; a row is timed by the CPU time of its thread, or
//! by the wall clock where threads are the point. Nothing here passes or fails.

mod capture;
mod clock;
mod decode;
mod families;
mod fleet;
mod growth;
mod harness;
mod lag;
mod live;
mod machine;
mod page;
mod print;
mod proxy;
mod python;
mod recorded;
mod sweep;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use harness::{Bench, Effort};

/// A group of tables.
struct Group {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Bench) -> Result<()>,
}

const GROUPS: [Group; 11] = [
    Group {
        name: "decode",
        about: "one slice more: zstd, the mirror, the analysis around them",
        run: decode::run,
    },
    Group {
        name: "lag",
        about: "one report more: from the checkpoints, and walking a capture without its audio",
        run: lag::run,
    },
    Group {
        name: "sweep",
        about: "one scenario more: columns, model, whole sweeps, threads",
        run: sweep::run,
    },
    Group {
        name: "fleet",
        about: "one capture more: scanned, analysed, two at once",
        run: fleet::run,
    },
    Group {
        name: "families",
        about: "one slice more of each family: scanned, decoded, analysed",
        run: families::run,
    },
    Group {
        name: "tables",
        about: "one capture more in the tables of a fleet: from checkpoints, and with audio",
        run: tables::run,
    },
    Group {
        name: "growth",
        about: "longer captures and more scenarios: what each minute and each scenario costs",
        run: growth::run,
    },
    Group {
        name: "capture",
        about: "one message more: written, read, looked up in a file of a gigabyte",
        run: capture::run,
    },
    Group {
        name: "proxy",
        about: "one connection more in between: latency and throughput, beside other relays",
        run: proxy::run,
    },
    Group {
        name: "live",
        about: "how near sockets come to the virtual clock, and a replay to its recording",
        run: live::run,
    },
    Group {
        name: "page",
        about: "one page more: of ten minutes, with its wind tunnel and without",
        run: page::run,
    },
];

const EXAMPLES: &str = "Examples:
  cargo bench                                     everything
  cargo bench -- --quick                          everything, coarsely, in some two minutes
  cargo bench -- sweep --json > sweep.json        one group as JSON, tables on stderr
  LAGTAPE_PYTHON=venv/bin/python3 cargo bench     peers in a Python that has numpy and zstandard";

/// Measures lagtape beside the limit and its peers.
#[derive(Parser)]
#[command(name = "cargo bench --", after_help = EXAMPLES)]
struct Args {
    /// Groups to run: those whose name contains one of these; all without any
    groups: Vec<String>,
    /// Fewer and shorter samples
    #[arg(long)]
    quick: bool,
    /// Print JSON on stdout, and tables on stderr
    #[arg(long)]
    json: bool,
    /// List the groups
    #[arg(long)]
    list: bool,
    /// Replays a capture so many times over and prints the memory that it took: the growth group
    /// calls itself so, for a process that did nothing else
    #[arg(long, hide = true, requires = "minutes")]
    replay: Option<PathBuf>,
    #[arg(long, hide = true)]
    minutes: Option<u64>,
    #[arg(long, hide = true)]
    bound: Option<usize>,
    /// Verifies a capture and prints the memory that it took, for the capture group
    #[arg(long, hide = true)]
    verify: Option<PathBuf>,
    /// Writes the tables of a folder and prints the memory that it took, for the tables group
    #[arg(long, hide = true)]
    tables_of: Option<PathBuf>,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        GROUPS.iter().for_each(|group| println!("{:8} {}", group.name, group.about));
        return ExitCode::SUCCESS;
    }
    let outcome = match (&args.replay, &args.verify) {
        _ if args.tables_of.is_some() => {
            args.tables_of.as_deref().map_or(Ok(()), tables::write_and_tell)
        }
        (Some(capture), _) => {
            growth::replay_and_tell(capture, args.minutes.unwrap_or(1), args.bound)
        }
        (None, Some(capture)) => capture::verify_and_tell(capture),
        (None, None) => run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let wanted = |group: &&Group| {
        args.groups.is_empty() || args.groups.iter().any(|name| group.name.contains(name.as_str()))
    };
    let groups: Vec<_> = GROUPS.iter().filter(wanted).collect();
    if groups.is_empty() {
        let known: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        bail!("no group is called {}; there are {}", args.groups.join(", "), known.join(", "));
    }
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let mut bench = Bench::new(effort, args.json)?;
    for group in groups {
        bench.begin_group(group.name);
        (group.run)(&mut bench)?;
    }
    bench.finish()
}
