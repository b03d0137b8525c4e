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
    // Huge pages would back a few kilobytes of heap with two megabytes of memory: an idle node would weigh twice as
    // much. A kernel that refuses leaves it as it is.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::run(std::env::args_os().collect())
}
