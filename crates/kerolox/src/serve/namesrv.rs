//! The role of the name server.

use std::process::ExitCode;
use std::sync::Arc;

use kerolox_namesrv::{Handle, NamesrvConfig};
use kerolox_net::ListenConfig;
use kerolox_wire::addresses::Addresses;

use super::telling::Telling;
use super::{Ending, Refused, leave_word, listen_addr, on_runtime, say, tls, warn};
use crate::clock::SystemClock;
use crate::config::load::Given;
use crate::config::roles::{self, NamesrvSettings, Ready};
use crate::metrics::Watched;
use crate::otel::Identity;

const WHAT: &str = "name server";

/// Runs a name server until it is asked to end.
pub(crate) fn run(given: &Given) -> ExitCode {
    on_runtime(WHAT, async {
        let mut ending = Ending::listen()?;
        let ready = roles::namesrv(given)?;
        let _word = leave_word("namesrv");
        warn(&ready.warnings);
        let handle = start(&ready, given)?;
        let watched = Watched { namesrv: Some(handle.watch()), ..Watched::default() };
        let addr = handle.local_addr();
        let host = if addr.ip().is_unspecified() { given.host.advertised() } else { addr.ip().to_string() };
        let instance = format!("{host}:{}", addr.port());
        let who = Identity { service: "kerolox-namesrv", cluster: None, instance };
        // The port is 0 unless somebody chose it.
        let telling = Telling::start(&ready.typed.metrics, true, watched, who, None).await?;
        say("The Name Server boot success. serializeType=JSON");
        ending.asked().await;
        ending
            .during(async {
                telling.shutdown().await;
                handle.shutdown().await;
            })
            .await;
        Ok(())
    })
}

/// Starts it on the present runtime.
pub(crate) fn start(ready: &Ready<NamesrvSettings>, given: &Given) -> Result<Handle, Refused> {
    let typed = &ready.typed;
    let addr = listen_addr(&typed.server.bind_address, typed.server.listen_port);
    let mut listen = ListenConfig::new(addr);
    listen.idle = typed.server.idle.0;
    listen.frame_max = typed.server.frame_max;
    let (mode, warning) = tls::of_listener(&typed.tls).map_err(Refused::start)?;
    listen.tls = mode;
    if !addr.ip().is_loopback() {
        warn(warning.as_slice());
        warn_of_strangers(addr.port(), !typed.namesrv.broker_addresses.is_empty());
    }
    let mut config = NamesrvConfig::new(listen, typed.namesrv.kv_config_path.clone());
    // A file that is never read keeps nothing.
    config.config_store_path = given.file.clone();
    config.order_message_enable = typed.namesrv.order_message_enable;
    config.scan_interval = typed.namesrv.scan_not_active_broker_interval;
    config.broker_addresses = allowed(&typed.namesrv.broker_addresses)?;
    let handle = kerolox_namesrv::start(config, Arc::new(SystemClock::new())).map_err(Refused::start)?;
    tracing::info!(addr = %handle.local_addr(), "name server started");
    Ok(handle)
}

/// The addresses that brokers may register from; none for all.
fn allowed(text: &str) -> Result<Option<Addresses>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    Addresses::parse(text).map(Some).map_err(|why| Refused::start(format!("allowedBrokerAddresses: {why}")))
}

fn warn_of_strangers(port: u16, brokers_are_listed: bool) {
    let may = if brokers_are_listed { "administer" } else { "register brokers and administer" };
    tracing::warn!(
        "any peer that reaches port {port} may {may}: a name server checks no accounts. Let a firewall admit only those \
         that should, or set bindAddress to an address of an inner network; allowedBrokerAddresses names the addresses \
         that brokers register from"
    );
}
