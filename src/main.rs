//! The `lagtape` command. The exit code is made here and nowhere else.

use std::process::ExitCode;

fn main() -> ExitCode {
    lagtape::cli::complete();
    lagtape::cli::run(std::env::args_os()).into()
}
