//! Keys and values that administrators store with the name server, by namespace: in practice the order configuration.
//!
//! The file `kvConfig.json` has the reference's form and is replaced at every change.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kerolox_wire::body::{KvConfigTable, KvTable, Style, from_json, to_json};
use kerolox_wire::frame::FRAME_SIZE_MAX;

use crate::files;

/// Namespace of the order configuration: topic to `broker-a:8;broker-b:8`.
pub const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";
/// Most namespaces.
pub const NAMESPACES_MAX: usize = 1000;
/// Most keys of a namespace.
pub const KEYS_MAX: usize = 100_000;
/// Longest namespace or key in bytes.
pub const NAME_SIZE_MAX: usize = 255;
/// Longest value in bytes.
pub const VALUE_SIZE_MAX: usize = 64 * 1024;
/// Most bytes of all keys, as the file has them: a namespace is answered in one frame, and each change writes them all.
pub const TABLE_SIZE_MAX: usize = FRAME_SIZE_MAX - 64 * 1024;

/// Why a key cannot be stored or deleted, or the file not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The file cannot be read, or it and its `.bak` hold something else.
    #[error("cannot read {}: {why}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The change could not be written and was taken back.
    #[error("the change was taken back because {} cannot be written: {source}", path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A namespace or key that breaks the rules for names.
    #[error("{what} {text:?} is empty, too long or holds characters that are not allowed")]
    Name {
        /// `namespace` or `key`.
        what: &'static str,
        /// What was given, cut.
        text: String,
    },
    /// A limit is reached.
    #[error("the limit of {limit} {what} is reached")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// The stored keys and their file.
#[derive(Debug)]
pub struct Kv {
    path: PathBuf,
    table: KvConfigTable,
}

impl Kv {
    /// Reads the file, or the previous one where that is damaged; no file means no keys.
    ///
    /// # Errors
    /// When there are files and none can be used: starting empty would overwrite them at the next change.
    pub fn load(path: &Path) -> Result<Self, KvError> {
        let mut damage = None;
        for path_read in [path.to_owned(), files::beside(path, ".bak")] {
            let failed = |why: String| KvError::Load { path: path_read.clone(), why };
            let Some(text) = files::read(&path_read).map_err(|error| failed(error.to_string()))? else { continue };
            match from_json(&text) {
                Ok(table) => {
                    if let Some(error) = damage {
                        tracing::error!(%error, used = ?path_read, "the key file is damaged, using its .bak");
                    }
                    return Ok(Self { path: path.to_owned(), table });
                }
                Err(error) => damage = damage.or(Some(failed(error.to_string()))),
            }
        }
        damage.map_or_else(|| Ok(Self { path: path.to_owned(), table: KvConfigTable::default() }), Err)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        self.table.config_table.get(namespace)?.get(key).map(String::as_str)
    }

    /// All keys of a namespace as a body, none when there is no such namespace.
    #[must_use]
    pub fn list(&self, namespace: &str) -> Option<Vec<u8>> {
        let table = self.table.config_table.get(namespace)?.clone();
        Some(to_json(&KvTable { table }, Style::Fastjson))
    }

    /// Stores a key; it is on disk when this returns.
    ///
    /// # Errors
    /// When a name or a limit is broken or the file cannot be written; nothing is changed then.
    pub fn put(&mut self, namespace: &str, key: &str, value: &str) -> Result<(), KvError> {
        check_name("namespace", namespace, is_namespace_character)?;
        check_name("key", key, |c| !c.is_control())?;
        if value.len() > VALUE_SIZE_MAX {
            return Err(KvError::TooMany { what: "bytes in a value", limit: VALUE_SIZE_MAX });
        }
        let tables = &self.table.config_table;
        match tables.get(namespace) {
            None if tables.len() >= NAMESPACES_MAX => {
                return Err(KvError::TooMany { what: "namespaces", limit: NAMESPACES_MAX });
            }
            Some(keys) if keys.len() >= KEYS_MAX && !keys.contains_key(key) => {
                return Err(KvError::TooMany { what: "keys in a namespace", limit: KEYS_MAX });
            }
            _ => {}
        }
        self.change(namespace, TABLE_SIZE_MAX, |keys| {
            keys.insert(key.to_owned(), value.to_owned());
        })
    }

    /// Deletes a key; deleting one that is not there is no error. An empty namespace stays, as in the reference.
    ///
    /// # Errors
    /// When the file cannot be written; the key is still there then.
    pub fn delete(&mut self, namespace: &str, key: &str) -> Result<(), KvError> {
        if self.get(namespace, key).is_none() {
            return Ok(());
        }
        self.change(namespace, usize::MAX, |keys| {
            keys.remove(key);
        })
    }

    /// Changes a namespace and the file, which may have `limit` bytes afterwards.
    fn change(
        &mut self,
        namespace: &str,
        limit: usize,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), KvError> {
        let before = self.table.config_table.get(namespace).cloned();
        change(self.table.config_table.entry(namespace.to_owned()).or_default());
        let text = to_json(&self.table, Style::Fastjson);
        let outcome = if text.len() > limit {
            Err(KvError::TooMany { what: "bytes of all keys", limit })
        } else {
            files::replace(&self.path, &text).map_err(|source| KvError::Save { path: self.path.clone(), source })
        };
        let Err(error) = outcome else { return Ok(()) };
        match before {
            Some(keys) => self.table.config_table.insert(namespace.to_owned(), keys),
            None => self.table.config_table.remove(namespace),
        };
        Err(error)
    }
}

fn is_namespace_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "%|_-".contains(c)
}

fn check_name(what: &'static str, text: &str, allowed: impl Fn(char) -> bool) -> Result<(), KvError> {
    if !text.trim().is_empty() && text.len() <= NAME_SIZE_MAX && text.chars().all(allowed) {
        return Ok(());
    }
    Err(KvError::Name { what, text: text.chars().take(64).collect() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn keys_outlive_a_restart_and_the_file_has_the_known_form() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvConfig.json");
        let mut kv = Kv::load(&path).unwrap();
        kv.put(ORDER_TOPIC_CONFIG, "T", "broker-a:8").unwrap();
        kv.put(ORDER_TOPIC_CONFIG, "U", "broker-b:4").unwrap();
        kv.delete(ORDER_TOPIC_CONFIG, "U").unwrap();
        kv.delete("none", "U").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:8"}}}"#);
        let kv = Kv::load(&path).unwrap();
        assert_eq!(kv.get(ORDER_TOPIC_CONFIG, "T"), Some("broker-a:8"));
        assert_eq!(kv.list(ORDER_TOPIC_CONFIG).unwrap(), br#"{"table":{"T":"broker-a:8"}}"#);
        assert_eq!(kv.list("none"), None);
    }

    #[test]
    fn a_damaged_file_gives_way_to_the_previous_one_and_two_damaged_ones_stop_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kv.json");
        let mut kv = Kv::load(&path).unwrap();
        kv.put("N", "k", "1").unwrap();
        kv.put("N", "k", "2").unwrap();
        fs::write(&path, "{\"configTable\":{").unwrap();
        assert_eq!(Kv::load(&path).unwrap().get("N", "k"), Some("1"));
        fs::write(files::beside(&path, ".bak"), "x").unwrap();
        let error = Kv::load(&path).unwrap_err().to_string();
        assert!(error.contains("kv.json"), "{error}");
    }

    #[test]
    fn what_cannot_be_written_is_not_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kv.json");
        let mut kv = Kv::load(&path).unwrap();
        kv.put("N", "k", "1").unwrap();
        // A folder in the place of the new file: opening it for writing fails.
        fs::create_dir(files::beside(&path, ".tmp")).unwrap();
        assert!(matches!(kv.put("N", "k", "2"), Err(KvError::Save { .. })));
        assert!(matches!(kv.put("M", "k", "2"), Err(KvError::Save { .. })));
        assert!(matches!(kv.delete("N", "k"), Err(KvError::Save { .. })));
        assert_eq!((kv.get("N", "k"), kv.list("M")), (Some("1"), None));
    }

    #[test]
    fn all_keys_together_are_limited() {
        let dir = tempfile::tempdir().unwrap();
        let mut kv = Kv::load(&dir.path().join("kv.json")).unwrap();
        let value = "x".repeat(VALUE_SIZE_MAX);
        let mut keys = BTreeMap::new();
        for n in 0..TABLE_SIZE_MAX / VALUE_SIZE_MAX - 1 {
            keys.insert(n.to_string(), value.clone());
        }
        kv.table.config_table.insert("N".to_owned(), keys);
        kv.put("M", "k", "fits").unwrap();
        let error = kv.put("M", "l", &value).unwrap_err().to_string();
        assert!(error.contains("bytes of all keys"), "{error}");
        assert_eq!((kv.get("M", "k"), kv.get("M", "l")), (Some("fits"), None));
        kv.delete("N", "0").unwrap();
        kv.put("M", "l", &value).unwrap();
    }

    #[test]
    fn names_and_sizes_are_limited() {
        let dir = tempfile::tempdir().unwrap();
        let mut kv = Kv::load(&dir.path().join("kv.json")).unwrap();
        let long = "x".repeat(VALUE_SIZE_MAX + 1);
        for (namespace, key, value) in
            [("../a", "k", ""), ("", "k", ""), ("N", "", ""), ("N", "k\n", ""), ("N", "k", &*long)]
        {
            assert!(kv.put(namespace, key, value).is_err(), "{namespace:?} {key:?}");
        }
    }
}
