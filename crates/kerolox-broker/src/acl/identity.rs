//! Which account each connection and client id belongs to. A client id is the account's whose heartbeat brought it first,
//! until its last connection ends: replies, half messages and queue locks go by client ids.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

/// Most client ids of one connection; a client has one.
const CLIENT_IDS_PER_CONNECTION_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Identities(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    connections: HashMap<u64, Connection>,
    client_ids: HashMap<Arc<str>, Owner>,
}

#[derive(Debug)]
struct Connection {
    /// Account of its latest heartbeat.
    account: Arc<str>,
    client_ids: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Owner {
    account: Arc<str>,
    connections: BTreeSet<u64>,
}

impl Identities {
    /// Takes a client id for an account and a connection.
    ///
    /// # Errors
    /// When another account has it, or the connection has too many.
    pub(super) fn claim(&self, connection: u64, account: &str, client_id: &str) -> Result<(), String> {
        let mut tables = self.0.lock();
        tables.check(account, client_id)?;
        let Tables { connections, client_ids } = &mut *tables;
        let account: Arc<str> = account.into();
        let own = connections
            .entry(connection)
            .or_insert_with(|| Connection { account: Arc::clone(&account), client_ids: BTreeSet::new() });
        own.account = Arc::clone(&account);
        if own.client_ids.contains(client_id) {
            return Ok(());
        }
        if own.client_ids.len() >= CLIENT_IDS_PER_CONNECTION_MAX {
            return Err(format!("the connection has {CLIENT_IDS_PER_CONNECTION_MAX} client ids, and no more"));
        }
        let client_id: Arc<str> = client_id.into();
        own.client_ids.insert(Arc::clone(&client_id));
        let owner = client_ids.entry(client_id).or_insert_with(|| Owner { account, connections: BTreeSet::new() });
        owner.connections.insert(connection);
        Ok(())
    }

    /// Whether an account may speak for a client id.
    ///
    /// # Errors
    /// When another account has it.
    pub(super) fn check(&self, account: &str, client_id: &str) -> Result<(), String> {
        self.0.lock().check(account, client_id)
    }

    /// The account of a connection's heartbeats.
    pub(super) fn account(&self, connection: u64) -> Option<Arc<str>> {
        self.0.lock().connections.get(&connection).map(|own| Arc::clone(&own.account))
    }

    /// A connection has ended: its client ids are free once no other has them.
    pub(super) fn forget(&self, connection: u64) {
        let mut tables = self.0.lock();
        let Some(gone) = tables.connections.remove(&connection) else { return };
        for client_id in gone.client_ids {
            let Some(owner) = tables.client_ids.get_mut(&client_id) else { continue };
            owner.connections.remove(&connection);
            if owner.connections.is_empty() {
                tables.client_ids.remove(&client_id);
            }
        }
    }
}

impl Tables {
    fn check(&self, account: &str, client_id: &str) -> Result<(), String> {
        match self.client_ids.get(client_id) {
            Some(owner) if *owner.account != *account => {
                Err(format!("the client id {client_id} belongs to a client of another account"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_its_accounts_until_the_last_connection_ends() {
        let identities = Identities::default();
        identities.claim(1, "owner", "id").unwrap();
        identities.claim(2, "owner", "id").unwrap();
        assert!(identities.claim(3, "other", "id").is_err() && identities.check("other", "id").is_err());
        identities.forget(1);
        assert!(identities.claim(3, "other", "id").is_err());
        identities.forget(2);
        identities.claim(3, "other", "id").unwrap();
        assert_eq!(identities.account(3).as_deref(), Some("other"));
        assert_eq!(identities.account(1), None);
    }

    #[test]
    fn a_connection_has_few_client_ids() {
        let identities = Identities::default();
        for n in 0..CLIENT_IDS_PER_CONNECTION_MAX {
            identities.claim(1, "a", &n.to_string()).unwrap();
        }
        assert!(identities.claim(1, "a", "more").is_err());
        identities.forget(1);
        assert!(identities.0.lock().client_ids.is_empty());
    }
}
