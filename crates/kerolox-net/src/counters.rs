//! What happened on the connections of one or several listeners, as numbers that only grow (`open` excepted).

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters shared by the connections of a listener or a pool; read them with [`Counters::snapshot`].
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(crate) $name: AtomicU64,)+
        }

        /// The values of [`Counters`] at one moment.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CountersSnapshot {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// Counts a request whose serving panicked on a thread that owns no connection.
            pub fn note_panic(&self) {
                bump(&self.panics);
            }

            /// The present values.
            #[must_use]
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl CountersSnapshot {
            /// Names and values in the order of declaration, for a metrics page.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

counters! {
    /// Connections that stand now.
    open,
    /// Connections taken.
    accepted,
    /// Connections opened by this node.
    dialled,
    /// Connections turned away because the limit was reached.
    refused_full,
    /// Failures of accepting itself, such as running out of file descriptors.
    accept_errors,
    /// TLS handshakes completed.
    tls_sessions,
    /// TLS handshakes that failed.
    tls_failed,
    /// TLS offered while it is disabled.
    tls_refused,
    /// Plain connections refused because TLS is enforced.
    plain_refused,
    /// Requests read.
    requests,
    /// Responses read that answered a call of ours.
    responses,
    /// Responses read that no call waited for, mostly because it had timed out.
    stray_responses,
    /// Requests read by a connection that serves none.
    unserved,
    /// Bytes read, after decryption.
    bytes_in,
    /// Bytes written, before encryption.
    bytes_out,
    /// Connections closed because nothing moved for the idle time.
    closed_idle,
    /// Connections closed because a frame or a handshake took too long to arrive.
    closed_slow,
    /// Connections closed because of bytes that are no frame.
    malformed,
    /// Connections closed because of a frame above the limit.
    oversize,
    /// Connections closed because the push queue overflowed.
    overflow,
    /// Connections closed because serving panicked.
    panics,
    /// Connections closed by an input or output error.
    io_errors,
}

pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_what_was_counted() {
        let counters = Counters::default();
        bump(&counters.accepted);
        add(&counters.bytes_in, 40);
        let seen = counters.snapshot();
        assert_eq!((seen.accepted, seen.bytes_in, seen.panics), (1, 40, 0));
        assert!(seen.rows().contains(&("bytes_in", 40)));
    }
}
