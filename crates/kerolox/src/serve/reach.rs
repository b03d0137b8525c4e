//! Whether clients elsewhere can reach the node, and who else can.

use std::net::{IpAddr, Ipv4Addr};

/// What is known about a node's addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Address on which it listens.
    pub(crate) listen: IpAddr,
    /// Address that clients are told.
    pub(crate) told: IpAddr,
    /// Whether an operator chose that address.
    pub(crate) chosen: bool,
}

impl Reach {
    /// One sentence for each thing to look at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let told = self.told;
        if self.listen.is_loopback() {
            if !told.is_loopback() {
                found.push(format!(
                    "clients are told {told}, but the broker listens on {} alone: set bindAddress or brokerIP1",
                    self.listen
                ));
            }
            return found;
        }
        found.push(
            "anybody who reaches the ports may send, read and administer: no accounts are checked. Let a firewall \
             admit only those who should, or set bindAddress to an address of an inner network"
                .to_owned(),
        );
        if told.is_loopback() {
            found.push(format!("clients are told {told}, which only clients on this machine can reach: {REMEDY}"));
        } else if let (false, Some(what)) = (self.chosen, inner(told)) {
            found.push(format!("clients are told {told}, {what}, which others can hardly reach: {REMEDY}"));
        }
        if let (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) = (self.listen, told)
            && !self.listen.is_unspecified()
        {
            found.push(format!(
                "clients are told {told}, but the broker listens on {}: set bindAddress or brokerIP1",
                self.listen
            ));
        }
        found
    }
}

const REMEDY: &str = "set brokerIP1 to the address under which clients reach this machine";

/// What kind of address only neighbours on the same machine know.
fn inner(ip: IpAddr) -> Option<&'static str> {
    let IpAddr::V4(ip) = ip else { return None };
    let within = |net: [u8; 2]| ip.octets().starts_with(&net);
    if ip.is_link_local() {
        return Some("a link-local address");
    }
    // The networks that container engines set up when nobody says otherwise.
    if within([172, 17]) {
        return Some("an address of Docker's bridge");
    }
    if within([10, 88]) {
        return Some("an address of Podman's bridge");
    }
    (ip.octets().starts_with(&[192, 168, 122])).then_some("an address of libvirt's bridge")
}

/// The address by which clients on this machine reach a listener.
pub(crate) fn from_here(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(listen: &str, told: &str, chosen: bool) -> Vec<String> {
        Reach { listen: listen.parse().unwrap(), told: told.parse().unwrap(), chosen }.warnings()
    }

    #[test]
    fn a_node_on_loopback_is_nobodys_business() {
        assert_eq!(warnings("127.0.0.1", "127.0.0.1", false), Vec::<String>::new());
        assert!(warnings("127.0.0.1", "10.0.0.5", true)[0].contains("listens on 127.0.0.1 alone"));
    }

    #[test]
    fn an_open_node_is_told_so_and_unreachable_addresses_come_with_a_remedy() {
        assert_eq!(warnings("0.0.0.0", "10.0.0.5", false).len(), 1);
        assert!(warnings("0.0.0.0", "10.0.0.5", false)[0].contains("no accounts are checked"));
        for (told, what) in [
            ("127.0.0.1", "only clients on this machine"),
            ("172.17.0.3", "Docker's bridge"),
            ("10.88.0.2", "Podman's bridge"),
            ("192.168.122.1", "libvirt's bridge"),
            ("169.254.1.1", "link-local"),
        ] {
            let found = warnings("0.0.0.0", told, false);
            assert!(found[1].contains(what) && found[1].ends_with(REMEDY), "{told}: {found:?}");
        }
        assert_eq!(warnings("0.0.0.0", "172.17.0.3", true).len(), 1, "who chose it knows why");
        assert_eq!(warnings("0.0.0.0", "172.18.0.3", false).len(), 1);
    }

    #[test]
    fn listeners_on_all_addresses_are_reached_over_loopback() {
        for (listen, reached) in [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")] {
            assert_eq!(from_here(listen.parse().unwrap()), reached.parse::<IpAddr>().unwrap());
        }
    }
}
