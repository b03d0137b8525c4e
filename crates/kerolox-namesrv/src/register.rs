//! What brokers ask: to register, to unregister, and whether their topics have changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kerolox_net::Peer;
use kerolox_wire::body::{DataVersion, RegisterBrokerBody, Style, from_json, to_json};
use kerolox_wire::command::{RequestCode, name_server as header};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;
use kerolox_wire::text::shown;

use crate::figures::Removal;
use crate::kv::ORDER_TOPIC_CONFIG;
use crate::routes::{RegisterError, Registered, Registration};
use crate::serve::NameServer;
use crate::suspects::SILENCE_MAX;

/// How many left-out topics a log line names.
const NAMED_MAX: usize = 5;

impl NameServer {
    pub(crate) fn register(&self, peer: &Arc<Peer>, frame: &Frame, broker: header::RegisterBroker) -> Reply {
        let by = peer.remote();
        let outcome = self.check_registration(peer, frame, &broker).and_then(|body| {
            let registration = Registration {
                cluster: broker.cluster_name,
                broker: broker.broker_name.clone(),
                id: broker.broker_id,
                addr: broker.broker_addr.clone(),
                ha_addr: broker.ha_server_addr,
                connection: peer.id(),
                topics: body.topic_config_serialize_wrapper,
            };
            self.enter(peer, registration)
        });
        let registered = match outcome {
            Ok(registered) => registered,
            Err(why) => {
                tracing::warn!(%by, broker = %shown(&broker.broker_name), why = %shown(&why), "registration refused");
                return Reply::refuse(ResponseCode::SYSTEM_ERROR, why);
            }
        };
        let (name, id, addr) = (&broker.broker_name, broker.broker_id, &broker.broker_addr);
        if let Some(old) = &registered.replaced {
            tracing::warn!(broker = %name, id, old, new = %addr, %by, "BROKER REPLACED: another address took its id");
        } else if registered.new {
            tracing::info!(broker = %name, id, %addr, %by, "broker registered");
        }
        if !registered.skipped.is_empty() {
            let some: Vec<_> = registered.skipped.iter().take(NAMED_MAX).map(|name| shown(name).to_string()).collect();
            tracing::warn!(broker = %name, count = registered.skipped.len(), ?some, "illegal topics left out");
        }
        let (master_addr, ha_server_addr) = registered.primary.unzip();
        let reply = Reply::of(&header::RegisterBrokerResult { ha_server_addr, master_addr });
        match self.kv.lock().list(ORDER_TOPIC_CONFIG) {
            Some(order) => reply.with_body(order),
            None => reply,
        }
    }

    /// Reads the body of a registration that comes from an address which may register.
    fn check_registration(
        &self,
        peer: &Peer,
        frame: &Frame,
        broker: &header::RegisterBroker,
    ) -> Result<RegisterBrokerBody, String> {
        let ip = peer.remote().ip();
        if self.broker_addresses.as_ref().is_some_and(|allowed| !allowed.contain(ip)) {
            return Err(format!("{ip} is not among the addresses that brokers may register from"));
        }
        // The sum is kept positive because it travels as a signed number.
        let sum = (crc32fast::hash(&frame.body) & 0x7FFF_FFFF).cast_signed();
        if broker.body_crc32 != 0 && broker.body_crc32 != sum {
            return Err("crc32 not match".to_owned());
        }
        RegisterBrokerBody::decode(&frame.body, broker.compressed, frame.version).map_err(|error| error.to_string())
    }

    /// Enters a registration into the tables; the owner of a place that another connection claims is asked whether it
    /// lives.
    fn enter(&self, peer: &Arc<Peer>, registration: Registration) -> Result<Registered, String> {
        let now = self.clock.elapsed();
        let outcome = {
            let mut routes = self.routes.write();
            let outcome = routes.register(registration, now, |connection| self.is_lost(connection, now));
            // The end of this connection is noted by the same task later, so it will find the entry.
            if outcome.is_ok() {
                self.registrants.lock().insert(peer.id(), Arc::clone(peer));
            }
            outcome
        };
        match outcome {
            Ok(registered) => {
                for connection in &registered.displaced {
                    let former = self.registrants.lock().remove(connection);
                    former.inspect(|former| former.close("another broker took its place in the name server"));
                }
                let routes = self.routes.read();
                self.missing.forget(|topic| routes.has_topic(topic));
                drop(routes);
                Ok(registered)
            }
            Err(error) => {
                if let RegisterError::OwnerAlive { connection, .. } = error {
                    self.probe(connection, now);
                }
                Err(error.to_string())
            }
        }
    }

    fn is_lost(&self, connection: u64, now: Duration) -> bool {
        let open = self.registrants.lock().get(&connection).is_some_and(|peer| peer.is_open());
        !open || self.suspects.is_lost(connection, now)
    }

    /// Asks the peer of a registered connection whether it lives: any answer will do.
    fn probe(&self, connection: u64, now: Duration) {
        let Some(owner) = self.registrants.lock().get(&connection).cloned() else { return };
        if !self.suspects.ask(connection, now) {
            return;
        }
        let suspects = Arc::clone(&self.suspects);
        let question = Frame::request(RequestCode::GET_BROKER_CLUSTER_INFO, Fields::new(), Bytes::new());
        tokio::spawn(async move {
            if owner.call(question, SILENCE_MAX).await.is_ok() {
                suspects.clear(connection);
            }
        });
    }

    pub(crate) fn unregister(&self, peer: &Peer, broker: &header::BrokerRef) -> Reply {
        let (name, id, addr) = (&broker.broker_name, broker.broker_id, &broker.broker_addr);
        let gone = self.routes.write().unregister(name, id, addr, peer.id());
        match gone {
            Ok(gone) => {
                self.note_gone(gone.as_slice(), Removal::Unregistered);
                Reply::ok()
            }
            Err(why) => {
                tracing::warn!(by = %peer.remote(), broker = %shown(name), id, "unregistration refused: {why}");
                Reply::refuse(ResponseCode::NO_PERMISSION, why.to_string())
            }
        }
    }

    pub(crate) fn query_version(&self, peer: &Peer, frame: &Frame, broker: &header::BrokerRef) -> Reply {
        let (name, id, addr) = (&broker.broker_name, broker.broker_id, &broker.broker_addr);
        let asked: DataVersion = match from_json(&frame.body) {
            Ok(version) => version,
            Err(error) => return Reply::refuse(ResponseCode::SYSTEM_ERROR, error.to_string()),
        };
        let known = self.routes.read().version(name, id, addr, peer.id());
        let changed = known != Some(asked);
        if !changed {
            self.routes.write().touch(name, id, addr, peer.id(), self.clock.elapsed());
        }
        let reply = Reply::of(&header::DataVersionResult { changed });
        match known {
            Some(version) => reply.with_body(to_json(&version, Style::Fastjson)),
            None => reply,
        }
    }
}
