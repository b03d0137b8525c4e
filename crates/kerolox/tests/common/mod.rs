//! What the tests of the binary share.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code, reason = "each test uses its own part of this")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A command in an environment of its own: home, run files and nothing of the caller's settings.
pub fn kerolox(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kerolox"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("KEROLOX_") || name.starts_with("JAVA_OPT") || name == "NAMESRV_ADDR" {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).current_dir(home);
    command
}

/// A port that is free now, and the one two below it.
pub fn free_port() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port > 1_026 && TcpListener::bind(("127.0.0.1", port - 2)).is_ok() {
            return port;
        }
    }
    panic!("no free ports");
}
