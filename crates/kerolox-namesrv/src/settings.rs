//! Settings that may be read, and the few that may be changed, while the name server runs.
//!
//! Every key that may be changed stands in [`CHANGEABLE`] with its check; all others, known or not, are refused with
//! the whole request. Paths, addresses and ports are told at most: a request that could set the path under
//! which settings are written could write any file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use java_properties::PropertiesIter;
use parking_lot::Mutex;

use crate::files;

/// Key of [`Settings::order_message_enable`].
const ORDER_MESSAGE_ENABLE: &str = "orderMessageEnable";
/// All keys that may be changed while running; each is true or false.
pub const CHANGEABLE: &[&str] = &[ORDER_MESSAGE_ENABLE];
/// Most bytes of a request for change.
const REQUEST_SIZE_MAX: usize = 64 * 1024;

/// Why a change is refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// Not in the list of keys that may be changed.
    #[error("Can not update config {key:?}: only {} can be changed while running", CHANGEABLE.join(", "))]
    NotChangeable {
        /// The key, cut.
        key: String,
    },
    /// A value the key cannot have.
    #[error("{key} must be true or false, not {value:?}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, cut.
        value: String,
    },
    /// Not the text of properties.
    #[error("the body is not a text of properties: {0}")]
    Text(String),
    /// The change could not be written and was taken back.
    #[error("the change was taken back because {} cannot be written: {source}", path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The settings.
#[derive(Debug)]
pub struct Settings {
    /// Lines that are told and never changed.
    told: String,
    order_message_enable: AtomicBool,
    /// Where changes are written, so that they outlive a restart.
    path: Option<PathBuf>,
    /// Held while a change is checked, written and applied.
    changing: Mutex<()>,
}

impl Settings {
    /// The settings at start: `told` are keys with values that never change; changes of the others are written to
    /// `path`, if there is one.
    #[must_use]
    pub fn new(told: &[(&str, String)], order_message_enable: bool, path: Option<PathBuf>) -> Self {
        let order_message_enable = AtomicBool::new(order_message_enable);
        let told = told.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        Self { told, order_message_enable, path, changing: Mutex::new(()) }
    }

    /// Whether routes carry the order configuration.
    #[must_use]
    pub fn order_message_enable(&self) -> bool {
        self.order_message_enable.load(Ordering::Relaxed)
    }

    /// The settings as lines of `key=value`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{ORDER_MESSAGE_ENABLE}={}\n", self.told, self.order_message_enable())
    }

    /// Changes settings by a text of properties: all of them or none.
    ///
    /// # Errors
    /// When a key may not be changed, a value does not fit, or the change cannot be written.
    pub fn change(&self, text: &[u8]) -> Result<(), SettingError> {
        let _one_at_a_time = self.changing.lock();
        let mut wanted = self.order_message_enable();
        for (key, value) in parse(text)? {
            if key != ORDER_MESSAGE_ENABLE {
                return Err(SettingError::NotChangeable { key: cut(&key) });
            }
            wanted = match value.trim().to_ascii_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(SettingError::Value { key: ORDER_MESSAGE_ENABLE, value: cut(&value) }),
            };
        }
        if wanted == self.order_message_enable() {
            return Ok(());
        }
        if let Some(path) = &self.path {
            let line = format!("{ORDER_MESSAGE_ENABLE}={wanted}");
            write_line(path, ORDER_MESSAGE_ENABLE, &line)
                .map_err(|source| SettingError::Save { path: path.clone(), source })?;
        }
        self.order_message_enable.store(wanted, Ordering::Relaxed);
        Ok(())
    }
}

fn parse(text: &[u8]) -> Result<Vec<(String, String)>, SettingError> {
    if text.len() > REQUEST_SIZE_MAX {
        return Err(SettingError::Text(format!("{} bytes, the limit is {REQUEST_SIZE_MAX}", text.len())));
    }
    let mut pairs = Vec::new();
    // The reader takes the first bytes for a mark of another encoding, and panics where that encoding ends early.
    let text = [b"\n", text].concat();
    PropertiesIter::new(text.as_slice())
        .read_into(|key, value| pairs.push((key, value)))
        .map_err(|error| SettingError::Text(error.to_string()))?;
    Ok(pairs)
}

/// Puts `line` in the place of the key's line, or at the end; the operator's other lines and comments stay.
fn write_line(path: &Path, key: &str, line: &str) -> io::Result<()> {
    let old = files::read(path)?.unwrap_or_default();
    let is_of_key = |old: &[u8]| {
        let old = old.trim_ascii_start();
        let rest = old.strip_prefix(key.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|b| b"=: \t\r".contains(b)))
    };
    let mut lines: Vec<&[u8]> = old.split(|b| *b == b'\n').filter(|old| !is_of_key(old)).collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines.push(line.as_bytes());
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    files::replace(path, &text)
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_listed_keys_change_and_only_all_together() {
        let settings = Settings::new(&[("listenPort", "9876".to_owned())], false, None);
        for key in [
            "configStorePath",
            "configStorePathName",
            "kvConfigPath",
            "rocketmqHome",
            "configBlackList",
            "listenPort",
            "productEnvName",
            "clusterTest",
            "nonsense",
            "config\\u0053torePath",
            "OrderMessageEnable",
        ] {
            let text = format!("orderMessageEnable=true\n{key}=/tmp/x\n");
            let error = settings.change(text.as_bytes()).unwrap_err();
            assert!(matches!(error, SettingError::NotChangeable { .. }), "{key}: {error}");
            assert!(!settings.order_message_enable(), "{key}");
        }
        assert!(matches!(settings.change(b"orderMessageEnable=maybe"), Err(SettingError::Value { .. })));
        assert!(matches!(settings.change(&[b'a'; REQUEST_SIZE_MAX + 1]), Err(SettingError::Text(_))));
        settings.change(b"# on\norderMessageEnable = TRUE ").unwrap();
        assert_eq!(settings.text(), "listenPort=9876\norderMessageEnable=true\n");
        settings.change(b"").unwrap();
        assert!(settings.order_message_enable());
    }

    #[test]
    fn marks_of_other_encodings_are_no_marks() {
        for text in [&b"\xEF"[..], b"\xEF\xBB", b"\xFF\xFE\xFF", b"\xFE\xFF\0"] {
            let refused = Settings::new(&[], false, None).change(text);
            assert!(matches!(refused, Err(SettingError::NotChangeable { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_change_is_one_line_of_the_operators_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("namesrv.properties");
        fs::write(&path, "# mine\nlistenPort=9876\n orderMessageEnable : false\nx=1\n").unwrap();
        let settings = Settings::new(&[("listenPort", "9876".to_owned())], false, Some(path.clone()));
        settings.change(b"orderMessageEnable=true").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nlistenPort=9876\nx=1\norderMessageEnable=true\n");
        fs::create_dir(files::beside(&path, ".tmp")).unwrap();
        assert!(matches!(settings.change(b"orderMessageEnable=false"), Err(SettingError::Save { .. })));
        assert!(settings.order_message_enable());
    }
}
