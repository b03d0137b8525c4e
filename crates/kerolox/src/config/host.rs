//! What defaults depend on: the machine, and the user who starts the node.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;

/// Facts of the machine, gathered once at start.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Home folder of the user.
    pub(crate) home: PathBuf,
    /// Folder in which the process was started.
    pub(crate) folder: PathBuf,
    /// Name of the machine.
    pub(crate) name: String,
    /// Processors that may be used.
    pub(crate) cores: usize,
    /// First address that is not loopback, if there is one.
    pub(crate) address: Option<IpAddr>,
}

impl Host {
    /// This machine.
    pub(crate) fn here() -> Self {
        Self {
            home: std::env::home_dir().filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("/")),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            address: routed_address().or_else(listed_address),
        }
    }

    /// A path below the home folder, as text.
    pub(crate) fn below_home(&self, rest: &str) -> String {
        self.home.join(rest).to_string_lossy().into_owned()
    }

    /// The machine's name as a broker name: a broker's name is a topic's too, so a dot becomes a dash.
    pub(crate) fn broker_name(&self) -> String {
        let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
        let name: String = self.name.chars().take(127).map(fit).collect();
        if name.is_empty() { "DEFAULT_BROKER".to_owned() } else { name }
    }

    /// The address others are told when none is configured.
    pub(crate) fn advertised(&self) -> String {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_string()
    }
}

/// The address from which this machine would reach others. Connecting a datagram socket sends nothing.
fn routed_address() -> Option<IpAddr> {
    const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(usable)
}

/// Without a route to elsewhere: the first local address in the kernel's table.
fn listed_address() -> Option<IpAddr> {
    first_local(&std::fs::read_to_string("/proc/net/fib_trie").ok()?)
}

/// The table lists an address on one line (`|-- 10.0.0.5`) and says on the next that it is local (`/32 host LOCAL`).
fn first_local(table: &str) -> Option<IpAddr> {
    let mut last = None;
    for line in table.lines().map(str::trim_start) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.trim().parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL") && last.as_ref().is_some_and(usable) {
            return last;
        }
    }
    None
}

fn usable(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A machine that is the same wherever tests run.
    pub(crate) fn sample() -> Host {
        Host {
            home: PathBuf::from("/home/rocket"),
            folder: PathBuf::from("/srv/broker"),
            name: "node.example".to_owned(),
            cores: 4,
            address: Some(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))),
        }
    }

    #[test]
    fn the_kernel_table_yields_the_first_address_that_is_not_loopback() {
        let table = "Main:\n  +-- 0.0.0.0/0 3\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.9.0.0\n        \
                     /16 link UNICAST\n     |-- 10.9.0.7\n        /32 host LOCAL\n";
        assert_eq!(first_local(table), Some(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 7))));
        assert_eq!(first_local("     |-- 127.0.0.1\n        /32 host LOCAL\n"), None);
    }

    #[test]
    fn a_machine_name_becomes_a_broker_name() {
        assert_eq!(sample().broker_name(), "node-example");
        assert_eq!(Host { name: String::new(), ..sample() }.broker_name(), "DEFAULT_BROKER");
    }
}
