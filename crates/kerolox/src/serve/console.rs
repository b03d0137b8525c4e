//! The role of the web console, and the console of a standalone node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use kerolox_client::{Client, Credentials, split_addresses};
use kerolox_console::{ConsoleConfig, Handle};
use kerolox_net::{Outbound, OutboundConfig};

use super::{Ending, Refused, leave_word, listen_addr, on_runtime, say, tls, warn};
use crate::clock::{LocalTime, SystemClock};
use crate::config::load::Given;
use crate::config::roles::{self, BrokerSettings};
use crate::config::table::{ClientKeys, ConsoleKeys, TlsKeys};

const WHAT: &str = "console";

/// Runs a console until it is asked to end.
pub(crate) fn run(given: &Given) -> ExitCode {
    on_runtime(WHAT, async {
        let mut ending = Ending::listen()?;
        let ready = roles::console(given)?;
        let _word = leave_word("console");
        warn(&ready.warnings);
        let typed = &ready.typed;
        let name_servers = split_addresses(&typed.watched.namesrv_addr);
        let handle = start(&typed.console, client(name_servers, &typed.console, &typed.client, &typed.tls)?).await?;
        say(invitation(&handle));
        ending.asked().await;
        ending.during(handle.shutdown()).await;
        Ok(())
    })
}

/// Starts the console of a standalone node, if it shall have one. A default port that is taken is no reason not to
/// start the node.
pub(crate) async fn beside(typed: &BrokerSettings, name_server: SocketAddr) -> Result<Option<Handle>, Refused> {
    if !typed.console.enable {
        return Ok(None);
    }
    let client = client(vec![name_server.to_string()], &typed.console, &typed.client, &typed.tls)?;
    match start(&typed.console, client).await {
        Ok(handle) => Ok(Some(handle)),
        Err(refused) if typed.console_port_is_set => Err(refused),
        Err(refused) => {
            for sentence in refused.sentences {
                tracing::warn!("the node runs without its console: {sentence}");
            }
            Ok(None)
        }
    }
}

fn client(
    name_servers: Vec<String>,
    own: &ConsoleKeys,
    keys: &ClientKeys,
    tls_keys: &TlsKeys,
) -> Result<Client, Refused> {
    let (client_tls, warning) = tls::of_calls(keys.use_tls, tls_keys).map_err(Refused::start)?;
    warn(warning.as_slice());
    let mut outbound = OutboundConfig::default();
    outbound.connect_timeout = keys.connect_timeout;
    outbound.idle = keys.idle.0;
    outbound.tls = client_tls;
    let local = LocalTime::of_system();
    let utc_offset = Arc::new(move |wall_ms| local.offset_seconds(wall_ms));
    let client = Client::new(name_servers, Outbound::new(outbound), Arc::new(SystemClock::new()), utc_offset);
    Ok(account(own)?.into_iter().fold(client, Client::with_credentials))
}

/// What the console signs with: its own account, or that of the administration tool.
fn account(own: &ConsoleKeys) -> Result<Option<Credentials>, Refused> {
    match (own.access_key.is_empty(), own.secret_key.is_empty()) {
        (false, false) => {
            let (access_key, secret_key) = (own.access_key.clone(), own.secret_key.clone());
            Ok(Some(Credentials { access_key, secret_key }))
        }
        (true, true) => crate::admin::account().map_err(Refused::start),
        _ => Err(Refused::start("consoleAccessKey and consoleSecretKey belong together; set both or none")),
    }
}

async fn start(keys: &ConsoleKeys, client: Client) -> Result<Handle, Refused> {
    let listen = listen_addr(&keys.bind_address, keys.port);
    if !listen.ip().is_loopback() {
        tracing::warn!(
            "the console answers without TLS on {listen}: passwords can be read on the way there. Put a proxy with TLS in \
             front of it, or let consoleBindAddress be 127.0.0.1 and use a tunnel"
        );
    }
    let config = ConsoleConfig {
        listen,
        folder: PathBuf::from(&keys.folder),
        hosts: keys.hosts.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        admin_password: (!keys.password.is_empty()).then(|| keys.password.clone()),
    };
    kerolox_console::start(config, client).await.map_err(Refused::start)
}

/// Where the console is, and how to get in the first time.
pub(crate) fn invitation(handle: &Handle) -> String {
    let at = handle.local_addr();
    match handle.first_password() {
        Some(first) => format!(
            "\nThe console is at http://{at}/\n  \
             user      {}\n  \
             password  {}\n\
             This password is shown once and kept as a hash; change it in the console.",
            first.user, first.password
        ),
        None => format!("\nThe console is at http://{at}/"),
    }
}
