//! Running roles: from settings to a node at work, and back to nothing when it is asked to end.

mod address_server;
mod broker;
mod console;
mod namesrv;
mod reach;
mod run_files;
pub(crate) mod shutdown;
mod standalone;
mod telling;
mod tls;

use std::fmt;
use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::load::Problems;
use run_files::RunFile;

pub(crate) use broker::run as broker;
pub(crate) use console::run as console;
pub(crate) use namesrv::run as namesrv;
pub(crate) use standalone::{Standalone, run as standalone};

/// Exit codes of RocketMQ's start scripts, as a shell sees them.
pub(crate) mod exit {
    /// -1: the settings file cannot be used.
    pub(crate) const SETTINGS: u8 = 255;
    /// -3: the settings are fine, but the node cannot begin with them.
    pub(crate) const START: u8 = 253;
}

/// Why a node does not run: sentences for the operator, and the exit code.
#[derive(Debug)]
pub(crate) struct Refused {
    sentences: Vec<String>,
    code: u8,
}

impl Refused {
    /// Something other than the settings is in the way.
    pub(crate) fn start(why: impl fmt::Display) -> Self {
        Self { sentences: vec![why.to_string()], code: exit::START }
    }
}

impl From<Problems> for Refused {
    fn from(problems: Problems) -> Self {
        // A name-server address that is none has an exit code of its own in RocketMQ.
        let code =
            if problems.0.iter().all(|one| one.starts_with("namesrvAddr ")) { exit::START } else { exit::SETTINGS };
        Self { sentences: problems.0, code }
    }
}

/// Runs `node` on a runtime as wide as the machine; what it is depends on the role.
fn on_runtime(what: &str, node: impl Future<Output = Result<(), Refused>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(what, &Refused::start(format!("no threads to run on: {error}"))),
    };
    let ended = runtime.block_on(node);
    // Whatever still waits for a peer or a disk must not keep a node that has shut down.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => tell(what, &refused),
    }
}

/// Says on standard error why a node does not run, all of it.
pub(crate) fn tell(what: &str, refused: &Refused) -> ExitCode {
    let mut err = std::io::stderr().lock();
    let _ = match refused.sentences.as_slice() {
        [one] => writeln!(err, "The {what} cannot start: {one}"),
        many => {
            let _ = writeln!(err, "The {what} cannot start, {} things are in the way:", many.len());
            many.iter().try_for_each(|one| writeln!(err, "  {one}"))
        }
    };
    ExitCode::from(refused.code)
}

/// Prints a line for the operator. Nobody may be listening any more, which is no reason to stop.
fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Logs what the settings and the machine gave rise to.
fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Leaves word for `mqshutdown`.
fn leave_word(role: &str) -> Option<RunFile> {
    let left = RunFile::leave(role);
    left.inspect_err(|error| {
        tracing::warn!("mqshutdown will not find this process: no run file can be written: {error}")
    })
    .ok()
}

/// The address to listen on; the table has checked it.
pub(crate) fn listen_addr(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
}

/// Signals that ask a node to end.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl Ending {
    /// Listens from now on.
    fn listen() -> Result<Self, Refused> {
        let on = |kind| signal(kind).map_err(|error| Refused::start(format!("signals cannot be received: {error}")));
        let hang_up = if ignores_hang_up() { None } else { Some(on(SignalKind::hangup())?) };
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())?, hang_up })
    }

    /// Returns when the node is asked to end, with the signal's number.
    async fn asked(&mut self) -> u8 {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
            _ = hang_up => 1,
        }
    }

    /// Starts; whoever asks for the end meanwhile gets it at once. Nobody was served yet, so there is nothing to finish.
    async fn unless_asked<T>(&mut self, start: impl Future<Output = T>) -> T {
        tokio::select! {
            started = start => started,
            signal = self.asked() => {
                tracing::warn!("asked to end while starting: the next start recovers what is unfinished");
                std::process::exit(128 + i32::from(signal));
            }
        }
    }

    /// Ends in good order; whoever asks a second time gets the end at once.
    async fn during(mut self, end: impl Future<Output = ()>) {
        tokio::select! {
            () = end => {}
            signal = self.asked() => {
                tracing::warn!("asked to end a second time: ending at once, the next start recovers what is unfinished");
                std::process::exit(128 + i32::from(signal));
            }
        }
    }
}

/// Whether the process was started so that it outlives its terminal, as `nohup` does.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status) & 1 == 1
}

/// The set of ignored signals, the first being the hang-up.
fn ignored_signals(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_server_address_has_its_own_exit_code() {
        let code = |problems: &[&str]| Refused::from(Problems(problems.iter().map(|p| (*p).to_owned()).collect())).code;
        assert_eq!(code(&["namesrvAddr = \"x\" is not allowed"]), 253);
        assert_eq!(code(&["listenPort = \"x\" is not allowed"]), 255);
        assert_eq!(code(&["namesrvAddr = \"x\" is not allowed", "listenPort = \"x\" is not allowed"]), 255);
    }

    #[test]
    fn ignored_signals_are_read_as_a_set() {
        assert_eq!(ignored_signals("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored_signals("nothing"), 0);
    }
}
