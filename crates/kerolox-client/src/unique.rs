//! Ids that a sender makes up for its messages.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kerolox_wire::id::UniqueKey;

/// Seconds east of Greenwich that the local clock shows at a time given in milliseconds.
pub type UtcOffset = Arc<dyn Fn(i64) -> i32 + Send + Sync>;

/// Makes ids; no two of one process are equal within one lap of the counter and one millisecond.
pub(crate) struct UniqueKeys {
    ip: IpAddr,
    pid: u16,
    hash: u32,
    counter: AtomicUsize,
    /// Months are counted as Java's tools in the same zone do, who search for a message from its key's time on.
    utc_offset: UtcOffset,
}

impl UniqueKeys {
    /// For a process that reaches the name server at `towards` and began at `now_ms`.
    pub(crate) fn new(towards: Option<&str>, now_ms: i64, utc_offset: UtcOffset) -> Self {
        let ip = towards.and_then(address_towards).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let low = |number: u64, bits: u64| number & bits;
        let seed = now_ms.cast_unsigned();
        Self {
            ip,
            pid: u16::try_from(low(u64::from(std::process::id()), 0xFFFF)).unwrap_or_default(),
            // Tells processes apart whose numbers are equal; Java puts the hash of a class loader here.
            hash: u32::try_from(low(seed ^ (seed >> 32), 0xFFFF_FFFF)).unwrap_or_default(),
            counter: AtomicUsize::new(usize::try_from(low(seed, 0xFFFF)).unwrap_or_default()),
            utc_offset,
        }
    }

    /// The next id.
    pub(crate) fn next(&self, now_ms: i64) -> String {
        let count = u16::try_from(self.turn() & 0xFFFF).unwrap_or_default();
        UniqueKey::generate(self.ip, self.pid, self.hash, now_ms, self.utc_offset.as_ref(), count).to_string()
    }

    /// A number that grows by one.
    pub(crate) fn turn(&self) -> usize {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}

/// This machine's address on the way to `node`; nothing is sent.
fn address_towards(node: &str) -> Option<IpAddr> {
    let target = node.to_socket_addrs().ok()?.next()?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_tell_their_time() {
        let now = 1_795_577_629_323;
        let keys = UniqueKeys::new(None, now, Arc::new(|_| 0));
        let (a, b) = (keys.next(now), keys.next(now));
        assert_ne!(a, b);
        assert_eq!(a.len(), 32);
        assert_eq!(UniqueKey::parse(&a).unwrap().made_at_ms(now + 1), now);
    }

    #[test]
    fn the_address_is_the_one_that_reaches_the_node() {
        assert_eq!(address_towards("127.0.0.1:9876"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(address_towards("nowhere"), None);
    }
}
