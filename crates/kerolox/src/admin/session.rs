//! What a running command works with.

use std::sync::Arc;

use kerolox_client::Client;
use kerolox_wire::clock::Clock;

use super::failure::Failure;
use super::options::Given;
use super::output::Out;

/// What a running command works with.
pub(super) struct Session {
    /// Asks name servers and brokers.
    pub(super) client: Client,
    /// Where it prints.
    pub(super) out: Out,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
}

impl Session {
    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// The broker given with `-b`, or the masters of the cluster given with `-c`.
    pub(super) async fn masters(&self, given: &Given) -> Result<Vec<String>, Failure> {
        if let Some(broker) = given.get('b') {
            return Ok(vec![broker.to_owned()]);
        }
        let cluster = self.client.cluster(given.required('c')?).await?;
        let masters: Vec<String> = cluster.masters().map(str::to_owned).collect();
        if masters.is_empty() {
            return Err(Failure::failed("no broker of that cluster has a master now"));
        }
        Ok(masters)
    }
}
