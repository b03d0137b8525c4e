//! Bits of the system flag of messages and of pull requests.

use std::net::SocketAddr;

/// The body is compressed.
pub const COMPRESSED: i32 = 0x1;
/// The topic keeps several tags per message.
pub const MULTI_TAGS: i32 = 0x2;
/// The two bits of the transaction kind.
pub const TRANSACTION_MASK: i32 = 0xC;
/// A half message that waits for its outcome.
pub const PREPARED: i32 = 0x4;
/// The outcome of a transaction: deliver.
pub const COMMIT: i32 = 0x8;
/// The outcome of a transaction: drop.
pub const ROLLBACK: i32 = 0xC;
/// The address of the sender has 16 bytes.
pub const BORNHOST_V6: i32 = 0x10;
/// The address of the broker has 16 bytes.
pub const STOREHOST_V6: i32 = 0x20;
/// The body is a message of its own (5.x).
pub const NEED_UNWRAP: i32 = 0x40;
/// The record holds several messages (5.x).
pub const INNER_BATCH: i32 = 0x80;
/// The three bits of the compression kind (5.x); all zero means zlib.
pub const COMPRESSION_MASK: i32 = 0x700;
/// LZ4 (5.x).
pub const COMPRESSION_LZ4: i32 = 0x100;
/// Zstandard (5.x).
pub const COMPRESSION_ZSTD: i32 = 0x200;
/// zlib, said explicitly (5.x).
pub const COMPRESSION_ZLIB: i32 = 0x300;

/// Bits of a pull request.
pub mod pull {
    /// The request brings an offset to commit.
    pub const COMMIT_OFFSET: i32 = 0x1;
    /// The broker may hold the request until a message arrives.
    pub const SUSPEND: i32 = 0x2;
    /// The request brings its own subscription.
    pub const SUBSCRIPTION: i32 = 0x4;
    /// The subscription is a class.
    pub const CLASS_FILTER: i32 = 0x8;
    /// The request comes from a lite pull consumer.
    pub const LITE_PULL: i32 = 0x10;
}

/// What a record is to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// Nothing.
    None,
    /// A half message.
    Prepared,
    /// A half message made visible.
    Commit,
    /// A half message taken back.
    Rollback,
}

/// Reads the transaction bits.
#[must_use]
pub const fn transaction(sys_flag: i32) -> Transaction {
    match sys_flag & TRANSACTION_MASK {
        PREPARED => Transaction::Prepared,
        COMMIT => Transaction::Commit,
        ROLLBACK => Transaction::Rollback,
        _ => Transaction::None,
    }
}

/// Replaces the transaction bits.
#[must_use]
pub const fn with_transaction(sys_flag: i32, transaction: Transaction) -> i32 {
    let bits = match transaction {
        Transaction::None => 0,
        Transaction::Prepared => PREPARED,
        Transaction::Commit => COMMIT,
        Transaction::Rollback => ROLLBACK,
    };
    (sys_flag & !TRANSACTION_MASK) | bits
}

/// Whether a record of this kind takes a place in its queue: prepared and rollback records do not.
#[must_use]
pub const fn enters_queue(sys_flag: i32) -> bool {
    matches!(transaction(sys_flag), Transaction::None | Transaction::Commit)
}

/// Sets the two host bits so that they agree with the addresses.
#[must_use]
pub const fn with_hosts(sys_flag: i32, born: &SocketAddr, store: &SocketAddr) -> i32 {
    let mut flag = sys_flag & !(BORNHOST_V6 | STOREHOST_V6);
    if born.is_ipv6() {
        flag |= BORNHOST_V6;
    }
    if store.is_ipv6() {
        flag |= STOREHOST_V6;
    }
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_bits_are_replaced_and_read_back() {
        for kind in [Transaction::None, Transaction::Prepared, Transaction::Commit, Transaction::Rollback] {
            let flag = with_transaction(-1, kind);
            assert_eq!(transaction(flag), kind);
            assert_eq!(flag | TRANSACTION_MASK, -1, "the other bits stay");
        }
    }

    #[test]
    fn only_plain_and_committed_messages_enter_a_queue() {
        let entered = [0, PREPARED, COMMIT, ROLLBACK].map(enters_queue);
        assert_eq!(entered, [true, false, true, false]);
    }
}
