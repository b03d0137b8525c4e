//! Everything that requests share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kerolox_client::Client;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::audit::Audit;
use crate::hosts::Hosts;
use crate::live::Live;
use crate::owners::Owners;
use crate::replays::Replays;
use crate::sessions::Sessions;
use crate::throttle::Throttle;

/// The console, as its requests see it.
pub(crate) struct Door {
    /// Asks brokers and name servers.
    pub(crate) client: Client,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) audit: Audit,
    pub(crate) live: Live,
    /// Since when clients have had their queues.
    pub(crate) owners: Mutex<Owners>,
    /// Dead letters that are being sent again.
    pub(crate) replays: Arc<Replays>,
    /// One password is checked at a time: each takes memory.
    pub(crate) hashing: Arc<Semaphore>,
    /// Names that requests may carry.
    pub(crate) hosts: Hosts,
    /// Name of the cookie; another console on the same host, at another port, has another.
    pub(crate) cookie: String,
}

/// What handlers are given.
pub(crate) type Shared = Arc<Door>;

/// File of the accounts in the console's folder.
pub(crate) fn accounts_file(folder: &Path) -> std::path::PathBuf {
    folder.join("accounts.json")
}

/// File of the audit log in the console's folder.
pub(crate) fn audit_file(folder: &Path) -> std::path::PathBuf {
    folder.join("audit.log")
}

/// File of the replays in the console's folder.
pub(crate) fn replays_file(folder: &Path) -> std::path::PathBuf {
    folder.join("replays.json")
}

impl Door {
    /// Time since some fixed moment.
    pub(crate) fn now(&self) -> Duration {
        self.client.clock().elapsed()
    }

    /// Milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.client.clock().wall_ms()
    }
}
