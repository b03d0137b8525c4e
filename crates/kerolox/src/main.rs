//! The one binary of Kerolox: name server, broker and administration tool.

mod admin;
mod cli;
mod clock;
mod config;
mod logging;
mod metrics;
mod migrate;
mod otel;
mod protocol;
mod serve;
mod store_tool;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages would back a few kilobytes of heap with two megabytes of memory: an idle node would weigh twice as
    // much. A kernel that refuses leaves it as it is.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    raise_open_files();
    cli::run(std::env::args_os().collect())
}

/// Connections, log files and queue files each take a descriptor: use all that the system allows this process.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused the limit stays; opening then says what it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
