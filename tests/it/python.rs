//! Python, for tests in which foreign code takes part.
//!
//! `LAGTAPE_PYTHON` names one, otherwise it is `python3`. Where it or its packages are missing a test
//! says so and passes, unless `LAGTAPE_REQUIRE_PYTHON` is set.

use std::process::Command;

/// Python, without arguments yet.
pub fn command() -> Command {
    Command::new(std::env::var_os("LAGTAPE_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Whether Python can import `modules`; if not, the test is to be skipped. Panics instead where
/// Python is required.
pub fn has(modules: &str, packages: &str) -> bool {
    let output = command().arg("-c").arg(format!("import {modules}")).output();
    let is_there = output.is_ok_and(|output| output.status.success());
    if !is_there {
        let required = std::env::var_os("LAGTAPE_REQUIRE_PYTHON").is_some();
        assert!(!required, "Python needs: pip install {packages}");
        eprintln!("SKIPPED: no Python with {packages} (LAGTAPE_PYTHON names one)");
    }
    is_there
}
