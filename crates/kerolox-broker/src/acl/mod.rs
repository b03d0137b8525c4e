//! Access control of the 4.x kind: accounts in a file, signatures on requests, permissions on topics and groups.
//!
//! `rules` is what a file says, `need` what a request needs, `edit` how a file changes; here they meet. The file is
//! looked at again and again, and when it has changed and is good, its rules count from then on.

mod edit;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod identity;
mod need;
mod rules;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use kerolox_net::Peer;
use kerolox_net::signature::{self, Credentials};
use kerolox_store::Store;
use kerolox_store::disk::Disk;
use kerolox_wire::body::{AclConfig, DataVersion};
use kerolox_wire::command::Request;
use kerolox_wire::frame::Frame;
use kerolox_wire::text::shown;
use parking_lot::Mutex;

pub(crate) use self::edit::Edit;
use self::identity::Identities;
use self::need::Need;
use self::rules::Rules;
use self::yaml::Node as Yaml;
use crate::refusal::Refusal;

/// One text for all that is wrong with an account or signature, so that nobody can find out which names exist. The
/// class name is what clients of 4.7.1 get to see.
const NOT_AUTHENTICATED: &str = "org.apache.rocketmq.acl.common.AclException: authentication failed: the request has \
     no accessKey, the accessKey is not known, or its signature is wrong";
/// What a request of an unknown account is checked with, so that it takes as long as one with a wrong signature.
const NOBODY: &str = "nobody's secret";
/// Largest file of accounts, in bytes.
const FILE_SIZE_MAX: u64 = 16 * 1024 * 1024;

/// The rules in force and the file they come from.
pub(crate) struct Acl {
    file: PathBuf,
    disk: Arc<dyn Disk>,
    rules: ArcSwap<Rules>,
    /// What the last look at the file found. Held while the file is read or written.
    seen: Mutex<Seen>,
    /// What the version of a file without one counts from.
    started_ms: i64,
    /// Which account each connection and client id belongs to.
    identities: Identities,
}

/// What a look at the file found.
struct Seen {
    /// Its text, good or not.
    text: Vec<u8>,
    /// Why it could not be used, when it could not.
    why: Option<String>,
}

impl Acl {
    /// Reads the file, which must be there.
    ///
    /// # Errors
    /// A sentence with what is wrong with it.
    pub(crate) fn open(file: &Path, disk: Arc<dyn Disk>, now_ms: i64) -> Result<Self, String> {
        let text = read(disk.as_ref(), file)?;
        let rules = usable(&parse(&text)?)?;
        Ok(Self {
            file: file.to_owned(),
            disk,
            rules: ArcSwap::from_pointee(rules),
            seen: Mutex::new(Seen { text, why: None }),
            started_ms: now_ms,
            identities: Identities::default(),
        })
    }

    /// Whether the request may be served.
    ///
    /// # Errors
    /// The refusal that its sender gets: code 1, as in 4.7.1, whose clients know no other here.
    pub(crate) fn check(&self, peer: &Peer, request: &Request, frame: &Frame, store: &Store) -> Result<(), Refusal> {
        let rules = self.rules.load();
        let address = peer.remote().ip();
        if rules.trusts(address) {
            return Ok(());
        }
        let name = frame.fields.get(signature::ACCESS_KEY);
        let account = name.and_then(|key| rules.account(key));
        let trusted = account.is_some_and(|account| account.trusts(address));
        if !trusted {
            let secret = account.map_or(NOBODY, |account| account.secret_key.as_str());
            if !signature::is_signed(frame, secret) {
                return Err(Refusal::error(NOT_AUTHENTICATED));
            }
        }
        let (Some(name), Some(account)) = (name, account) else { return Err(Refusal::error(NOT_AUTHENTICATED)) };
        let need = Need::of(request, frame, store)?;
        // An address is easily had, so it stands for the permissions of an account and never makes an administrator.
        let allowed = if trusted { account.may_administer(&need) } else { account.may(&need) };
        let claimed = allowed.and_then(|()| match (request, &need.client_id) {
            (Request::Heartbeat(_), Some(id)) => self.identities.claim(peer.id(), name, id),
            (_, Some(id)) => self.identities.check(name, id),
            (_, None) => Ok(()),
        });
        claimed.map_err(|why| {
            Refusal::error(format!("org.apache.rocketmq.acl.common.AclException: no permission: {}", shown(&why)))
        })
    }

    /// Whether the account of a connection's heartbeats may publish to a topic: it is sent half messages of it then.
    pub(crate) fn may_publish(&self, peer: &Peer, topic: &str) -> bool {
        let rules = self.rules.load();
        let address = peer.remote().ip();
        if rules.trusts(address) {
            return true;
        }
        let name = self.identities.account(peer.id());
        let account = name.as_deref().and_then(|name| rules.account(name));
        account.is_some_and(|account| account.trusts(address) || account.may(&Need::publish(topic)).is_ok())
    }

    /// A connection has ended.
    pub(crate) fn forget(&self, connection: u64) {
        self.identities.forget(connection);
    }

    /// Looks at the file: when it has changed and is good, its rules count; when it is not, the last good ones stay.
    pub(crate) fn reload(&self) {
        let mut seen = self.seen.lock();
        let text = read(self.disk.as_ref(), &self.file);
        if text.as_ref().is_ok_and(|text| *text == seen.text && seen.why.is_none()) {
            return;
        }
        let outcome = text.and_then(|text| {
            seen.text.clone_from(&text);
            usable(&parse(&text)?)
        });
        match outcome {
            Ok(rules) => {
                self.rules.store(Arc::new(rules));
                seen.why = None;
                tracing::info!(file = %self.file.display(), "the accounts were read again");
            }
            // Said once, not at every look.
            Err(why) if seen.why.as_ref() == Some(&why) => {}
            Err(why) => {
                tracing::error!(file = %self.file.display(), why, "the accounts cannot be used; the last good ones stay in force");
                seen.why = Some(why);
            }
        }
    }

    /// Changes the file, and the rules with it.
    ///
    /// # Errors
    /// A sentence; file and rules are as before then.
    pub(crate) fn change(&self, edit: &Edit, now_ms: i64) -> Result<(), String> {
        let mut seen = self.seen.lock();
        let mut tree = parse(&read(self.disk.as_ref(), &self.file)?)?;
        let before = Rules::of(&tree)?.version.unwrap_or_default();
        edit.apply(&mut tree)?;
        edit::put_version(&mut tree, before.next(now_ms));
        let rules = usable(&tree)?;
        let text = tree.write()?;
        // What was written must say the same when it is read.
        Rules::of(&Yaml::parse(&text)?)?;
        self.disk
            .write_file_atomic(&self.file, text.as_bytes())
            .map_err(|error| format!("{} cannot be written: {error}", self.file.display()))?;
        *seen = Seen { text: text.into_bytes(), why: None };
        self.rules.store(Arc::new(rules));
        Ok(())
    }

    /// How often the accounts have changed, and when last.
    pub(crate) fn version(&self) -> DataVersion {
        self.rules.load().version.unwrap_or(DataVersion { counter: 0, timestamp: self.started_ms })
    }

    /// Everything but the secrets.
    ///
    /// # Errors
    /// When the file cannot be read now.
    pub(crate) fn shown(&self) -> Result<AclConfig, String> {
        let _still = self.seen.lock();
        rules::shown(&parse(&read(self.disk.as_ref(), &self.file)?)?)
    }
}

/// The rules of a file, which must let somebody in: an empty file, or one cut short, would lock everybody out.
fn usable(tree: &Yaml) -> Result<Rules, String> {
    let rules = Rules::of(tree)?;
    if rules.let_nobody_in() { Err("it names no account and no address".to_owned()) } else { Ok(rules) }
}

fn read(disk: &dyn Disk, file: &Path) -> Result<Vec<u8>, String> {
    if !disk.exists(file) {
        return Err("there is no such file".to_owned());
    }
    let size = disk.open(file, kerolox_store::disk::OpenMode::Read).map_err(|error| error.to_string())?.len();
    if size > FILE_SIZE_MAX {
        return Err(format!("it has {size} bytes, {FILE_SIZE_MAX} are allowed"));
    }
    disk.read_file(file).map_err(|error| error.to_string())
}

fn parse(text: &[u8]) -> Result<Yaml, String> {
    Yaml::parse(std::str::from_utf8(text).map_err(|error| format!("it is not UTF-8: {error}"))?)
}

/// Reads the account that an administration tool signs with: `accessKey` and `secretKey` of a `tools.yml`. None when
/// the file names none.
///
/// # Errors
/// A sentence when `text` is not such a file.
pub fn tool_account(text: &str) -> Result<Option<Credentials>, String> {
    let tree = Yaml::parse(text)?;
    let value = |key| tree.get(key).and_then(Yaml::as_str).map(str::trim).filter(|text| !text.is_empty());
    let both = value(rules::ACCESS_KEY).zip(value(rules::SECRET_KEY));
    Ok(both.map(|(access, secret)| Credentials { access_key: access.to_owned(), secret_key: secret.to_owned() }))
}
