//! From sources to checked values: the later source wins, and all problems are told, not the first one alone.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::host::Host;
use super::key::{Key, Status};
use super::properties;
use super::rule::Rule;
use super::sources::{Raw, environment, user_home};
use super::table::{LATER_REASON, Role, Stranger, stranger};
use super::values::{Source, Values};

/// Everything from which settings are made.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Whose settings.
    pub(crate) role: Role,
    /// The machine.
    pub(crate) host: Host,
    /// Defaults of this way of starting, in place of those of the table.
    pub(crate) presets: Vec<(&'static str, String)>,
    /// Environment variables.
    pub(crate) variables: Vec<(String, String)>,
    /// The `-c` file.
    pub(crate) file: Option<PathBuf>,
    /// Values of the command line: key, value, flag.
    pub(crate) flags: Vec<(String, String, String)>,
}

impl Given {
    /// The table's defaults and the environment of this process, for a start.
    pub(crate) fn here(role: Role) -> Self {
        let variables: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let host = Host::here();
        let home = user_home(&variables).map_or_else(|| host.home.clone(), |home| host.folder.join(home));
        Self { role, host: Host { home, ..host }, presets: Vec::new(), variables, file: None, flags: Vec::new() }
    }
}

/// Checked values, and what the operator should know about them.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// One value for each key.
    pub(crate) values: Values,
    /// One sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Why the settings cannot be used: one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Reads and checks all sources.
///
/// # Errors
/// All problems found.
pub(crate) fn load(given: &Given) -> Result<Loaded, Problems> {
    let mut reading = Reading {
        role: given.role,
        folder: given.host.folder.clone(),
        values: Values::default(),
        warnings: Vec::new(),
        problems: Vec::new(),
    };
    for key in given.role.keys() {
        reading.values.set(key.name, given.role.default_of(key, &given.host), Source::Default);
    }
    for (name, text) in &given.presets {
        reading.values.set(name, text.clone(), Source::Default);
    }
    let (found, warnings) = environment(given.role, &given.variables);
    reading.warnings.extend(warnings);
    reading.take(found);
    let of_file = given.file.as_deref().map_or_else(Vec::new, |path| reading.file(path));
    let of_flags = given.flags.iter().map(|(name, value, flag)| Raw {
        name: name.clone(),
        value: value.trim().to_owned(),
        source: Source::Flag(flag.clone()),
    });
    let of_flags: Vec<Raw> = of_flags.collect();
    reading.tls_file(&of_file, &of_flags);
    reading.take(of_file);
    reading.take(of_flags);
    reading.tell_meaningless();
    if reading.problems.is_empty() {
        Ok(Loaded { values: reading.values, warnings: reading.warnings })
    } else {
        Err(Problems(reading.problems))
    }
}

struct Reading {
    role: Role,
    folder: PathBuf,
    values: Values,
    warnings: Vec<String>,
    problems: Vec<String>,
}

impl Reading {
    fn take(&mut self, found: Vec<Raw>) {
        for raw in found {
            match self.role.key(&raw.name) {
                Some(key) => self.set(key, raw),
                None => self.strange(&raw),
            }
        }
    }

    fn set(&mut self, key: &'static Key, raw: Raw) {
        match key.rule.check(&raw.value) {
            Ok(taken) => {
                if let Some(note) = taken.note {
                    self.warnings.push(format!("{} = {} is {note} ({})", key.name, raw.value, raw.source));
                }
                // Nothing after the `=` is the same as no line.
                if !taken.text.is_empty() {
                    let text = self.placed(key, taken.text);
                    self.values.set(key.name, text, raw.source);
                }
            }
            // Java takes an empty value of a number or a switch for no value.
            Err(_) if raw.value.is_empty() => {}
            Err(allowed) => {
                let shown = if key.is_secret() { "******" } else { raw.value.as_str() };
                self.problems
                    .push(format!("{} = {shown:?} is not allowed ({}); allowed: {allowed}", key.name, raw.source));
            }
        }
    }

    /// A path that is not absolute begins in the folder where the process was started.
    fn placed(&self, key: &Key, text: String) -> String {
        let is_place = matches!(key.rule, Rule::Path) || key.name == "storePathCommitLog";
        if !is_place || text.starts_with('/') {
            return text;
        }
        let path: PathBuf = self.folder.join(&text).components().collect();
        path.to_string_lossy().into_owned()
    }

    fn strange(&mut self, raw: &Raw) {
        let (name, source) = (raw.name.escape_debug(), &raw.source);
        let told = match stranger(self.role, &raw.name) {
            Stranger::Later(_) => format!("{name} has no effect: {LATER_REASON} ({source})"),
            Stranger::Of(other) => {
                format!(
                    "{name} has no effect: it is a key of a {}, not of a {} ({source})",
                    other.name(),
                    self.role.name()
                )
            }
            Stranger::Unknown(Some(near)) => format!("unknown key {name}, did you mean {near}? ({source})"),
            Stranger::Unknown(None) => format!("unknown key {name} has no effect ({source})"),
        };
        self.warnings.push(told);
    }

    fn file(&mut self, path: &Path) -> Vec<Raw> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems.push(format!("cannot read the configuration file {}: {error}", path.display()));
                return Vec::new();
            }
        };
        let (pairs, bad) = properties::parse(&bytes);
        for bad in bad {
            self.problems.push(format!("{}, line {}, cannot be read: {}", path.display(), bad.line, bad.why));
        }
        for (at, pair) in pairs.iter().enumerate() {
            if let Some(later) = pairs.iter().skip(at + 1).find(|later| later.key == pair.key) {
                let (file, key) = (path.display(), pair.key.escape_debug());
                let line = later.line;
                self.warnings
                    .push(format!("{file} sets {key} on line {} and again on line {line}, which counts", pair.line));
            }
        }
        let raw = |pair: properties::Pair| Raw {
            name: pair.key,
            value: pair.value,
            source: Source::File(path.to_owned(), pair.line),
        };
        // Only the line that counts is checked.
        let mut counts: Vec<Raw> = Vec::new();
        for pair in pairs {
            counts.retain(|before| before.name != pair.key);
            counts.push(raw(pair));
        }
        counts
    }

    /// The file of TLS keys stands between the environment and the `-c` file; its name may come from any of them.
    fn tls_file(&mut self, of_file: &[Raw], of_flags: &[Raw]) {
        const KEY: &str = "tls.config.file";
        let named = of_flags.iter().chain(of_file).find(|raw| raw.name == KEY && !raw.value.is_empty());
        let path = PathBuf::from(named.map_or_else(|| self.values.text(KEY), |raw| raw.value.as_str()));
        let is_set = named.is_some() || self.values.is_set(KEY);
        if !is_set && !path.is_file() {
            return;
        }
        let (of_tls, others): (Vec<Raw>, Vec<Raw>) =
            self.file(&path).into_iter().partition(|raw| raw.name.starts_with("tls."));
        for raw in others {
            self.warnings.push(format!(
                "{} has no effect: only keys that begin with tls. count here ({})",
                raw.name, raw.source
            ));
        }
        self.take(of_tls);
    }

    fn tell_meaningless(&mut self) {
        for key in self.role.keys() {
            let Status::NoMeaning(reason) = key.status else { continue };
            if self.values.is_set(key.name) {
                self.warnings.push(format!("{} has no effect: {reason} ({})", key.name, self.values.source(key.name)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::host::tests::sample;

    fn given(role: Role) -> Given {
        let no_tls_file = ("tls.config.file", "/nonexistent/tls.properties".to_owned());
        Given { role, host: sample(), presets: vec![no_tls_file], variables: vec![], file: None, flags: vec![] }
    }

    fn of_text(text: &str) -> (Result<Loaded, Problems>, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.conf");
        fs::write(&path, text).unwrap();
        let loaded = load(&Given { file: Some(path.clone()), ..given(Role::Broker) });
        (loaded, path.display().to_string())
    }

    #[test]
    fn later_sources_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.conf");
        fs::write(&path, "brokerName=of-file\nlistenPort=20911\n").unwrap();
        let mut given = given(Role::Broker);
        assert_eq!(load(&given).unwrap().values.text("brokerName"), "node-example");
        given.presets.push(("brokerName", "of-preset".to_owned()));
        assert_eq!(load(&given).unwrap().values.text("brokerName"), "of-preset");
        given.variables.push(("KEROLOX_BROKER_NAME".to_owned(), "of-env".to_owned()));
        assert_eq!(load(&given).unwrap().values.text("brokerName"), "of-env");
        given.file = Some(path);
        assert_eq!(load(&given).unwrap().values.text("brokerName"), "of-file");
        given.flags.push(("brokerName".to_owned(), "of-flag".to_owned(), "--set".to_owned()));
        let loaded = load(&given).unwrap();
        assert_eq!(loaded.values.text("brokerName"), "of-flag");
        assert_eq!(loaded.values.text("listenPort"), "20911");
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    #[test]
    fn all_problems_are_told_with_key_value_place_and_what_is_allowed() {
        let (loaded, file) =
            of_text("flushDiskType=sync\nlistenPort = 70000\nautoCreateTopicEnable=yes\ntls.server.mode=on\n");
        let problems = loaded.unwrap_err().0;
        assert_eq!(problems.len(), 4, "{problems:?}");
        let line = |n: usize| format!("{file}, line {n}");
        assert_eq!(
            problems[0],
            format!("flushDiskType = \"sync\" is not allowed ({}); allowed: ASYNC_FLUSH, SYNC_FLUSH", line(1))
        );
        assert_eq!(
            problems[1],
            format!("listenPort = \"70000\" is not allowed ({}); allowed: a whole number from 1 to 65535", line(2))
        );
        assert!(problems[2].ends_with("allowed: true or false"), "{problems:?}");
        assert!(problems[3].ends_with("allowed: disabled, permissive, enforcing"), "{problems:?}");
    }

    #[test]
    fn trailing_blanks_are_no_part_of_a_value() {
        let (loaded, _) =
            of_text("autoCreateTopicEnable = true \nbrokerName=b-a\t\nbrokerRole=SYNC_MASTER  \nfileReservedTime=48 ");
        let values = loaded.unwrap().values;
        assert_eq!(values.text("autoCreateTopicEnable"), "true");
        assert_eq!(values.text("brokerName"), "b-a");
        assert_eq!(values.text("brokerRole"), "SYNC_MASTER");
        assert_eq!(values.text("fileReservedTime"), "48");
    }

    #[test]
    fn keys_without_effect_are_told_once_each_with_the_reason() {
        let text = "sendMessageThreadPoolNums=16\ntimerWarmEnable=true\nkvConfigPath=/x\nbrokerNmae=a\nwhatever=1\n\
                    diskMaxUsedSpaceRatio=99\nbrokerId=0\nbrokerId=0\n";
        let (loaded, file) = of_text(text);
        let warnings = loaded.unwrap().warnings;
        for expected in [
            "sendMessageThreadPoolNums has no effect: requests need no pools of threads",
            "timerWarmEnable has no effect: a key of RocketMQ 5.x",
            "kvConfigPath has no effect: it is a key of a name server, not of a broker",
            "unknown key brokerNmae, did you mean brokerName?",
            "unknown key whatever has no effect",
            "diskMaxUsedSpaceRatio = 99 is outside of 10 to 95, so 95 is used",
            &format!("{file} sets brokerId on line 7 and again on line 8, which counts"),
        ] {
            assert_eq!(warnings.iter().filter(|w| w.starts_with(expected)).count(), 1, "{expected}: {warnings:#?}");
        }
        assert_eq!(warnings.len(), 7, "{warnings:#?}");
    }

    #[test]
    fn what_this_version_lacks_stops_the_start() {
        for text in ["brokerRole=SLAVE", "enableDLegerCommitLog=true", "authenticationEnabled=true"] {
            let (loaded, _) = of_text(text);
            assert!(loaded.unwrap_err().to_string().contains("(this version"), "{text}");
        }
        assert!(of_text("aclEnable=TRUE").0.is_ok());
    }

    #[test]
    fn a_path_begins_in_the_folder_of_the_start_and_a_log_has_one_folder() {
        let text = "storePathRootDir=./store\nstorePathCommitLog=store/../log\nmaxMessageSize=524288000\n\
                    brokerIP2=node.example.org\nbrokerName=node.example.org\n";
        let loaded = of_text(text).0.unwrap();
        assert_eq!(loaded.values.text("storePathRootDir"), "/srv/broker/store");
        assert_eq!(loaded.values.text("storePathCommitLog"), "/srv/broker/store/../log");
        assert_eq!(loaded.values.text("maxMessageSize"), "16777216");
        assert!(loaded.warnings[0].starts_with("maxMessageSize = 524288000 is too large"), "{:?}", loaded.warnings);
        for several in ["/d1/commitlog,/d2/commitlog", "/d1/commitlog:/d2/commitlog"] {
            let problems = of_text(&format!("storePathCommitLog={several}\n")).0.unwrap_err().to_string();
            assert!(problems.contains("storePathCommitLog") && problems.contains("several"), "{problems}");
        }
    }

    #[test]
    fn a_missing_file_is_one_sentence() {
        let given = Given { file: Some(PathBuf::from("/nonexistent/b.conf")), ..given(Role::Broker) };
        let problems = load(&given).unwrap_err().0;
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("cannot read the configuration file /nonexistent/b.conf: "), "{problems:?}");
    }

    #[test]
    fn the_tls_file_is_read_below_the_main_file() {
        let dir = tempfile::tempdir().unwrap();
        let (main, tls) = (dir.path().join("broker.conf"), dir.path().join("tls.properties"));
        fs::write(&tls, "tls.server.certPath=/a\ntls.server.keyPath=/b\nbrokerName=x\n").unwrap();
        fs::write(&main, format!("tls.config.file={}\ntls.server.keyPath=/c\n", tls.display())).unwrap();
        let loaded = load(&Given { file: Some(main), ..given(Role::Broker) }).unwrap();
        assert_eq!(loaded.values.text("tls.server.certPath"), "/a");
        assert_eq!(loaded.values.text("tls.server.keyPath"), "/c");
        assert!(loaded.warnings[0].starts_with("brokerName has no effect: only keys"), "{:?}", loaded.warnings);
    }

    #[test]
    fn a_name_server_listens_elsewhere() {
        assert_eq!(load(&given(Role::Namesrv)).unwrap().values.text("listenPort"), "9876");
        assert_eq!(load(&given(Role::Broker)).unwrap().values.text("listenPort"), "10911");
    }

    #[test]
    fn empty_values_count_as_not_set() {
        let (loaded, _) = of_text("namesrvAddr=\nlistenPort=\nautoCreateTopicEnable=\nhaMasterAddress=\n");
        let loaded = loaded.unwrap();
        assert_eq!((loaded.values.text("listenPort"), loaded.warnings.len()), ("10911", 0));
    }
}
