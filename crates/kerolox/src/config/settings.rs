//! The settings of a running node: shown to administrators, and changed by them where that is allowed.

use std::path::PathBuf;
use std::sync::OnceLock;

use parking_lot::{Mutex, RwLock};

use super::key::Key;
use super::properties;
use super::table::Role;
use super::values::{Source, Values};

/// What stands in place of a secret.
const MASK: &str = "******";

/// Most settings that one update may name: more than there are keys.
const PAIRS_MAX: usize = 1_000;

/// One setting that changed.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Its key.
    pub(crate) key: &'static Key,
    /// Its new value, in its usual spelling.
    pub(crate) value: String,
}

/// How the running node takes a change; it cannot refuse what the table allows.
type Apply = Box<dyn Fn(&Change) + Send + Sync>;

/// All settings of a node.
pub(crate) struct Settings {
    role: Role,
    values: RwLock<Values>,
    file: Option<PathBuf>,
    apply: OnceLock<Apply>,
    /// Held by the one update that is under way.
    updating: Mutex<()>,
}

impl Settings {
    /// Settings as loaded; `file` is where changes are kept.
    pub(crate) fn new(role: Role, values: Values, file: Option<PathBuf>) -> Self {
        Self { role, values: RwLock::new(values), file, apply: OnceLock::new(), updating: Mutex::new(()) }
    }

    /// Names who takes changes; the first call counts.
    pub(crate) fn on_change(&self, apply: impl Fn(&Change) + Send + Sync + 'static) {
        let _ = self.apply.set(Box::new(apply));
    }

    /// A copy of the values as they are now.
    pub(crate) fn values(&self) -> Values {
        self.values.read().clone()
    }

    /// `key=value` lines of all keys of 4.7.1 and of those others that are set, secrets masked, sorted by key.
    pub(crate) fn as_properties(&self) -> String {
        self.lines(|_| true)
    }

    /// The same of all keys, for a role that 4.7.1 does not have.
    pub(crate) fn all_as_properties(&self) -> String {
        let values = self.values.read();
        let mut keys: Vec<&Key> = self.role.keys().collect();
        keys.sort_by_key(|key| key.name);
        keys.into_iter().map(|key| line(key, &values)).collect()
    }

    /// The same of the keys that matter most.
    pub(crate) fn important_properties(&self) -> String {
        self.lines(|key| key.important)
    }

    fn lines(&self, wanted: impl Fn(&Key) -> bool) -> String {
        let values = self.values.read();
        let shown = |key: &Key| wanted(key) && (!key.later || values.is_set(key.name));
        let mut keys: Vec<&Key> = self.role.keys().filter(|key| shown(key)).collect();
        keys.sort_by_key(|key| key.name);
        keys.into_iter().map(|key| line(key, &values)).collect()
    }

    /// Applies `key=value` lines, all or none, and keeps them in the settings file. Returns what changed.
    ///
    /// # Errors
    /// A sentence for everything that stands in the way, with the key's name.
    pub(crate) fn update(&self, text: &str) -> Result<Vec<Change>, String> {
        let _alone = self.updating.lock();
        let asked = self.checked(text)?;
        let values = self.values();
        let changes: Vec<Change> =
            asked.into_iter().filter(|change| values.text(change.key.name) != change.value).collect();
        if changes.is_empty() {
            return Ok(changes);
        }
        self.keep(&changes)?;
        for change in &changes {
            self.values.write().set(change.key.name, change.value.clone(), Source::Update);
            if let Some(apply) = self.apply.get() {
                apply(change);
            }
            tracing::info!(key = change.key.name, value = change.value, "setting changed by an administrator");
        }
        Ok(changes)
    }

    fn checked(&self, text: &str) -> Result<Vec<Change>, String> {
        let (pairs, bad) = properties::parse(text.as_bytes());
        if pairs.len() + bad.len() > PAIRS_MAX {
            return Err(format!("more than {PAIRS_MAX} settings at once; nothing was changed"));
        }
        let mut problems: Vec<String> =
            bad.iter().map(|bad| format!("line {} cannot be read: {}", bad.line, bad.why)).collect();
        let mut changes: Vec<Change> = Vec::new();
        for pair in pairs {
            match self.check(&pair) {
                Ok(change) => {
                    changes.retain(|before| before.key.name != change.key.name);
                    changes.push(change);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(changes) } else { Err(problems.join("; ") + "; nothing was changed") }
    }

    fn check(&self, pair: &properties::Pair) -> Result<Change, String> {
        let name = pair.key.escape_debug();
        let Some(key) = self.role.keys().find(|key| key.name == pair.key) else {
            return Err(format!("{name} is no key of a {}", self.role.name()));
        };
        if key.live.is_none() {
            return Err(format!("{name} cannot be changed while the {} runs", self.role.name()));
        }
        match key.rule.check(&pair.value) {
            Ok(taken) if !taken.text.is_empty() => Ok(Change { key, value: taken.text }),
            _ => Err(format!("{name} = {:?} is not allowed, allowed: {}", pair.value, key.rule.allowed())),
        }
    }

    fn keep(&self, changes: &[Change]) -> Result<(), String> {
        let Some(file) = &self.file else {
            tracing::warn!("the node was started without a settings file (-c), so the change lasts until it stops");
            return Ok(());
        };
        let pairs: Vec<(String, String)> = changes.iter().map(|c| (c.key.name.to_owned(), c.value.clone())).collect();
        properties::set_in_file(file, &pairs).map_err(|error| {
            format!("the settings file {} cannot be written: {error}; nothing was changed", file.display())
        })
    }
}

fn line(key: &Key, values: &Values) -> String {
    let value = values.text(key.name);
    properties::line(key.name, if key.is_secret() && !value.is_empty() { MASK } else { value }) + "\n"
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("role", &self.role).field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::config::host::tests::sample;
    use crate::config::load::{Given, load};

    fn settings(flags: &[(&str, &str)], file: Option<PathBuf>) -> Settings {
        let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned(), "--set".to_owned())).collect();
        let given =
            Given { role: Role::Broker, host: sample(), presets: vec![], variables: vec![], file: file.clone(), flags };
        Settings::new(Role::Broker, load(&given).unwrap().values, file)
    }

    #[test]
    fn the_text_has_every_4_7_1_key_and_no_secret() {
        let text = settings(&[("tls.server.keyPassword", "hush"), ("bindAddress", "10.1.2.3")], None).as_properties();
        assert!(text.contains("tls.server.keyPassword=******\n") && !text.contains("hush"));
        assert!(text.contains("brokerName=node-example\n") && text.contains("sendMessageThreadPoolNums=1\n"));
        assert!(text.contains("bindAddress=10.1.2.3\n") && !text.contains("authenticationEnabled"));
        let (pairs, bad) = properties::parse(text.as_bytes());
        assert_eq!(bad, []);
        assert!(pairs.len() > 160 && pairs.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test]
    fn the_short_text_has_the_marked_keys_only() {
        let text = settings(&[], None).important_properties();
        assert!(text.contains("brokerName=") && text.contains("aclEnable=false") && !text.contains("listenPort"));
    }

    #[test]
    fn changes_reach_the_node_the_text_and_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.conf");
        fs::write(&path, "# mine\nbrokerPermission=6\n").unwrap();
        let settings = settings(&[], Some(path.clone()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        settings.on_change(move |change| into.lock().push((change.key.live, change.value.clone())));
        let changes = settings.update("brokerPermission=4\ntraceOn=FALSE\nlongPollingEnable=true\n").unwrap();
        assert_eq!(changes.len(), 2, "the third is as it was");
        assert_eq!(*seen.lock(), [(Some("permission"), "4".to_owned()), (Some("trace_on"), "false".to_owned())]);
        assert!(settings.as_properties().contains("brokerPermission=4\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nbrokerPermission=4\ntraceOn=false\n");
    }

    #[test]
    fn all_or_nothing_and_every_refusal_names_its_key() {
        let settings = settings(&[], None);
        settings.on_change(|_| panic!("nothing may change"));
        let before = settings.as_properties();
        let refused = settings
            .update(
                "brokerPermission=4\nstorePathRootDir=/x\nrocketmqHome=/y\naclEnable=false\nnope=1\ntraceOn=maybe\n",
            )
            .unwrap_err();
        assert_eq!(
            refused,
            "storePathRootDir cannot be changed while the broker runs; rocketmqHome cannot be changed while the broker \
             runs; aclEnable cannot be changed while the broker runs; nope is no key of a broker; traceOn = \"maybe\" is \
             not allowed, allowed: true or false; nothing was changed"
        );
        assert_eq!(settings.as_properties(), before);
    }

    #[test]
    fn a_line_break_in_a_value_makes_no_second_key() {
        let refused = settings(&[], None).update("traceOn=true\\nstorePathRootDir=/x").unwrap_err();
        assert!(refused.starts_with("traceOn = \"true\\nstorePathRootDir=/x\" is not allowed"), "{refused}");
    }

    #[test]
    fn a_file_that_cannot_be_written_keeps_everything_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.conf");
        fs::write(&path, "").unwrap();
        let settings = settings(&[], Some(path.clone()));
        settings.on_change(|_| panic!("nothing may change"));
        fs::remove_file(&path).unwrap();
        assert!(settings.update("traceOn=false").unwrap_err().contains("cannot be written"));
        assert!(settings.as_properties().contains("traceOn=true\n"));
    }

    #[test]
    fn no_key_that_security_depends_on_can_be_changed_while_running() {
        for role in Role::ALL {
            for key in role.keys().filter(|key| key.live.is_some()) {
                // Innocent words in which the others happen to be.
                let name = key.name.to_ascii_lowercase().replace("support", "").replace("dataclean", "");
                for word in ["path", "home", "port", "addr", "brokername", "brokerid", "role", "acl", "auth", "tls"] {
                    assert!(!name.contains(word), "{}", key.name);
                }
                assert!(!key.is_secret(), "{}", key.name);
            }
        }
    }
}
