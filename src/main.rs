//! The `lagtape` command.
fn main() {}
