//! The one binary of Kerolox: name server, broker and administration tool.

mod admin;
mod cli;
mod clock;
mod config;
mod logging;
mod serve;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
