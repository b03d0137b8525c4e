//! `kerolox shutdown ROLE`, which RocketMQ users know as `mqshutdown`: unlike theirs it waits for the end.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use kerolox_wire::clock::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::run_files;
use crate::clock::SystemClock;

/// Exit code of RocketMQ's script when nothing runs.
const NOTHING_RUNS: u8 = 255;

/// Asks all processes of this user that run as `role` to end, and waits for it.
pub(crate) fn run(role: Option<&str>, wait: Duration) -> ExitCode {
    let mut out = std::io::stdout();
    let Some(role @ ("broker" | "namesrv" | "standalone" | "console")) = role else {
        // The spelling of RocketMQ's script.
        let _ = writeln!(out, "Useage: mqshutdown broker | namesrv | standalone | console");
        return ExitCode::SUCCESS;
    };
    let name = if matches!(role, "standalone" | "console") { role.to_owned() } else { format!("mq{role}") };
    let nodes: Vec<(u32, OwnedFd)> =
        run_files::running(role).into_iter().filter_map(|pid| Some((pid, open(pid, role)?))).collect();
    if nodes.is_empty() {
        let _ = writeln!(out, "No {name} running.");
        hint(role, &mut out);
        return ExitCode::from(NOTHING_RUNS);
    }
    let pids: Vec<String> = nodes.iter().map(|(pid, _)| pid.to_string()).collect();
    let pids = pids.join(" ");
    let _ = writeln!(out, "The {name}({pids}) is running...");
    for (pid, node) in &nodes {
        if let Err(error) = pidfd_send_signal(node, Signal::TERM)
            && error != rustix::io::Errno::SRCH
        {
            let _ = writeln!(out, "The {name}({pid}) cannot be asked to end: {error}");
            return ExitCode::FAILURE;
        }
    }
    let _ = writeln!(out, "Send shutdown request to {name}({pids}) OK");
    let clock = SystemClock::new();
    let left: Vec<&str> = nodes
        .iter()
        .zip(pids.split(' '))
        .filter(|((_, node), _)| !ended_within(node, wait.saturating_sub(clock.elapsed())))
        .map(|(_, pid)| pid)
        .collect();
    if left.is_empty() {
        let _ = writeln!(out, "The {name}({pids}) has ended.");
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(out, "The {name}({}) still runs after {} s.", left.join(" "), wait.as_secs());
    ExitCode::FAILURE
}

/// A name server and a broker in one process are ended together.
fn hint(role: &str, out: &mut impl Write) {
    let both = run_files::running("standalone");
    if matches!(role, "broker" | "namesrv") && !both.is_empty() {
        let _ = writeln!(out, "Name server and broker run in one process: mqshutdown standalone ends both.");
    }
}

/// A handle on the process, so that the signal reaches this one and never a later one of the same number.
fn open(pid: u32, role: &str) -> Option<OwnedFd> {
    let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let node = pidfd_open(number, PidfdFlags::empty()).ok()?;
    // It may have ended, and its number been given away, between looking and opening.
    run_files::is_running(pid, role).then_some(node)
}

fn ended_within(node: &OwnedFd, wait: Duration) -> bool {
    let wait =
        Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() };
    let mut polled = [PollFd::new(node, PollFlags::IN)];
    loop {
        match poll(&mut polled, Some(&wait)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
