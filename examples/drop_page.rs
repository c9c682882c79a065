//! Writes the page onto which captures are dropped, of the core as a module of WebAssembly:
//! `cargo run --example drop_page -- MODULE OUT`. `.ci/drop-page` builds the module first.

use std::io;

use lagtape::report::page;

fn main() -> io::Result<()> {
    let mut paths = std::env::args_os().skip(1);
    let (Some(module), Some(out)) = (paths.next(), paths.next()) else {
        return Err(io::Error::other("name the module and the page to write"));
    };
    std::fs::write(out, page::drop_html(&std::fs::read(module)?))
}
