//! Starting a console.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kerolox_client::Client;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::accounts::{ADMIN, Accounts};
use crate::audit::Audit;
use crate::door::{Door, accounts_file, audit_file, replays_file};
use crate::hosts::Hosts;
use crate::http::{self, Server};
use crate::live::Live;
use crate::replays::Replays;
use crate::sessions::{AccountRole, Sessions};
use crate::throttle::Throttle;
use crate::{guard, password};

/// How a console runs.
#[derive(Clone, Debug)]
pub struct ConsoleConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Folder of its accounts and its audit log, made when something is to be kept.
    pub folder: PathBuf,
    /// Password of `admin`, as text or as an argon2 hash, in place of the kept one.
    pub admin_password: Option<String>,
    /// Host names under which it is reached, besides `localhost` and addresses; none: any, unless it listens on loopback.
    pub hosts: Vec<String>,
}

/// The first password, which is shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPassword {
    /// Account.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// Why a console cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// A console at work.
pub struct Handle {
    server: Server,
    door: Arc<Door>,
    keeping: Option<tokio::task::JoinHandle<()>>,
    first: Option<FirstPassword>,
}

/// Listens, and serves pages about the cluster that `client` knows.
///
/// # Errors
/// When the address cannot be listened on, or the accounts or the audit log cannot be read.
pub async fn start(config: ConsoleConfig, client: Client) -> Result<Handle, StartError> {
    let told = |why: &dyn std::fmt::Display| StartError(why.to_string());
    let mut accounts = Accounts::open(accounts_file(&config.folder)).map_err(|why| told(&why))?;
    if let Some(given) = &config.admin_password {
        accounts.fix_admin(given).map_err(|why| told(&why))?;
    }
    let audit = audit_file(&config.folder);
    let audit = Audit::open(audit.clone())
        .map_err(|why| StartError(format!("the audit log {} cannot be read: {why}", audit.display())))?;
    let replays = Replays::open(replays_file(&config.folder))
        .map_err(|why| StartError(format!("{} cannot be read: {why}", replays_file(&config.folder).display())))?;
    let first = if accounts.is_empty() {
        let password = password::generate().map_err(|why| told(&why))?;
        Some(FirstPassword { user: ADMIN.to_owned(), password })
    } else {
        None
    };
    let door = Arc::new(Door {
        live: Live::new(client.clone()),
        client,
        owners: Mutex::default(),
        replays: Arc::new(replays),
        accounts,
        sessions: Mutex::new(Sessions::default()),
        throttle: Mutex::new(Throttle::default()),
        audit,
        hosts: Hosts::new(config.listen, &config.hosts),
        hashing: Arc::new(Semaphore::new(1)),
        cookie: format!("kerolox-session-{}", config.listen.port()),
    });
    // Taken before the first visitor can come, so that logins wait until the first password is kept.
    let place = if first.is_some() { Arc::clone(&door.hashing).acquire_owned().await.ok() } else { None };
    let server = http::serve(config.listen, guard::router(Arc::clone(&door))).await.map_err(|why| {
        StartError(format!("the console cannot listen on {}: {why}; set consolePort to another port", config.listen))
    })?;
    let keeping = first.clone().map(|first| tokio::spawn(keep(Arc::clone(&door), first, place)));
    Ok(Handle { server, door, keeping, first })
}

/// Hashing takes a while, which a start does not wait for. Logins wait for it, since it holds their place.
async fn keep(door: Arc<Door>, first: FirstPassword, place: Option<OwnedSemaphorePermit>) {
    let keeping = Arc::clone(&door);
    let kept =
        tokio::task::spawn_blocking(move || keeping.accounts.put(&first.user, AccountRole::Admin, &first.password));
    if let Ok(Err(why)) = kept.await {
        tracing::error!(%why, "the console's first password could not be kept");
    }
    drop(place);
}

impl Handle {
    /// The address listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The password that was made because there was no account yet; shown nowhere else.
    #[must_use]
    pub fn first_password(&self) -> Option<&FirstPassword> {
        self.first.as_ref()
    }

    /// Ends it.
    pub async fn shutdown(self) {
        if let Some(keeping) = self.keeping {
            let _ = keeping.await;
        }
        self.server.shutdown().await;
        drop(self.door);
    }
}
