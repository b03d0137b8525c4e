//! The accounts of the console, kept in its folder as hashes.

use std::fs;
use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::file::replace;
use crate::password;
use crate::sessions::AccountRole;

/// Name of the first account.
pub(crate) const ADMIN: &str = "admin";
/// Most accounts.
const ACCOUNTS_MAX: usize = 100;
/// Longest name of an account, bytes.
const NAME_SIZE_MAX: usize = 64;

/// One account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Its name.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: AccountRole,
    /// Hash of its password.
    hash: String,
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    accounts: Vec<Account>,
}

/// Why accounts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The file cannot be read.
    #[error("the console's accounts in {} cannot be read: {why}; move the file away to begin with a new password", file.display())]
    Unreadable {
        /// Its path.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be written.
    #[error("the console's accounts in {} cannot be written: {why}", file.display())]
    Unwritable {
        /// Its path.
        file: PathBuf,
        /// What is wrong.
        why: io::Error,
    },
    /// No secret.
    #[error(transparent)]
    Secret(#[from] password::SecretError),
    /// The wish cannot be granted.
    #[error("{0}")]
    Refused(String),
}

/// The accounts.
#[derive(Debug)]
pub(crate) struct Accounts {
    file: PathBuf,
    /// The administrator's password comes from the settings and is not kept.
    fixed: bool,
    known: Mutex<Vec<Account>>,
    /// Hash of no password: checked for unknown names, which then take as long as known ones.
    decoy: Mutex<Option<String>>,
}

impl Accounts {
    /// Reads the accounts; none when there is no file.
    pub(crate) fn open(file: PathBuf) -> Result<Self, AccountError> {
        let unreadable = |why: String| AccountError::Unreadable { file: file.clone(), why };
        let known = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice::<File>(&bytes).map_err(|why| unreadable(why.to_string()))?.accounts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        if let Some(bad) = known.iter().find(|account| !password::is_hash(&account.hash)) {
            return Err(unreadable(format!("the hash of {:?} is no argon2 hash", bad.name)));
        }
        Ok(Self { file, fixed: false, known: Mutex::new(known), decoy: Mutex::new(None) })
    }

    /// Whether somebody can log in.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.lock().is_empty()
    }

    /// Gives the administrator a password from the settings, as a text or as an argon2 hash, and keeps it in memory only.
    pub(crate) fn fix_admin(&mut self, given: &str) -> Result<(), AccountError> {
        let hash = if password::is_hash(given) { given.to_owned() } else { password::hash(given)? };
        self.fixed = true;
        let mut known = self.known.lock();
        known.retain(|account| account.name != ADMIN);
        known.insert(0, Account { name: ADMIN.to_owned(), role: AccountRole::Admin, hash });
        Ok(())
    }

    /// The account that these words open. Slow on purpose.
    pub(crate) fn check(&self, name: &str, given: &str) -> Option<Account> {
        let account = self.known.lock().iter().find(|account| account.name == name).cloned();
        let hash = match &account {
            Some(account) => account.hash.clone(),
            None => self.decoy(),
        };
        let right = given.len() <= password::PASSWORD_SIZE_MAX && password::verify(given, &hash);
        account.filter(|_| right)
    }

    fn decoy(&self) -> String {
        let mut decoy = self.decoy.lock();
        // An empty text is no hash, so the check fails, only faster.
        decoy.get_or_insert_with(|| password::generate().and_then(|p| password::hash(&p)).unwrap_or_default()).clone()
    }

    /// Creates an account or gives it another password.
    pub(crate) fn put(&self, name: &str, role: AccountRole, given: &str) -> Result<(), AccountError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
        if name.is_empty() || name.len() > NAME_SIZE_MAX || !name.chars().all(fits) {
            let why = format!("a name has 1 to {NAME_SIZE_MAX} letters, digits or any of -_.@");
            return Err(AccountError::Refused(why));
        }
        if given.chars().count() < password::PASSWORD_CHARS_MIN || given.len() > password::PASSWORD_SIZE_MAX {
            return Err(AccountError::Refused(format!(
                "a password has at least {} characters and at most {} bytes",
                password::PASSWORD_CHARS_MIN,
                password::PASSWORD_SIZE_MAX
            )));
        }
        self.refuse_fixed(name)?;
        let account = Account { name: name.to_owned(), role, hash: password::hash(given)? };
        self.change(|known| {
            let admins = known.iter().filter(|a| a.name != name && a.role == AccountRole::Admin).count();
            if admins == 0 && role != AccountRole::Admin && known.iter().any(|a| a.name == name) {
                return Err("the last administrator stays one".to_owned());
            }
            let count = known.len();
            match known.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = account,
                None if count >= ACCOUNTS_MAX => return Err(format!("there are {ACCOUNTS_MAX} accounts already")),
                None => known.push(account),
            }
            Ok(())
        })
    }

    /// Removes an account; the last administrator stays.
    pub(crate) fn remove(&self, name: &str) -> Result<(), AccountError> {
        self.refuse_fixed(name)?;
        self.change(|known| {
            if !known.iter().any(|account| account.name == name) {
                return Err(format!("there is no account {name:?}"));
            }
            if !known.iter().any(|account| account.name != name && account.role == AccountRole::Admin) {
                return Err("the last administrator stays".to_owned());
            }
            known.retain(|account| account.name != name);
            Ok(())
        })
    }

    /// Names and roles.
    pub(crate) fn list(&self) -> Vec<(String, AccountRole)> {
        self.known.lock().iter().map(|account| (account.name.clone(), account.role)).collect()
    }

    fn refuse_fixed(&self, name: &str) -> Result<(), AccountError> {
        if self.fixed && name == ADMIN {
            let why = "the password of admin is given by the setting consolePassword; change it there";
            return Err(AccountError::Refused(why.to_owned()));
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Account>) -> Result<(), String>) -> Result<(), AccountError> {
        let mut known = self.known.lock();
        let mut changed = known.clone();
        change(&mut changed).map_err(AccountError::Refused)?;
        let kept = changed.iter().filter(|account| !(self.fixed && account.name == ADMIN)).cloned().collect();
        serde_json::to_vec_pretty(&File { accounts: kept })
            .map_err(io::Error::from)
            .and_then(|text| replace(&self.file, &text))
            .map_err(|why| AccountError::Unwritable { file: self.file.clone(), why })?;
        *known = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn accounts_outlive_a_restart_as_hashes_that_others_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console/accounts.json");
        let accounts = Accounts::open(path.clone()).unwrap();
        assert!(accounts.is_empty() && accounts.check(ADMIN, "whatever").is_none());
        accounts.put(ADMIN, AccountRole::Admin, "first word").unwrap();
        accounts.put("eve", AccountRole::ReadOnly, "second word").unwrap();
        let again = Accounts::open(path.clone()).unwrap();
        assert_eq!(again.check(ADMIN, "first word").unwrap().role, AccountRole::Admin);
        assert_eq!(again.check("eve", "second word").unwrap().role, AccountRole::ReadOnly);
        assert!(again.check("eve", "first word").is_none());
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("word") && text.contains("$argon2id$"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_last_administrator_stays_and_bad_wishes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path().join("a.json")).unwrap();
        accounts.put(ADMIN, AccountRole::Admin, "first word").unwrap();
        assert!(accounts.remove(ADMIN).is_err() && accounts.remove("nobody").is_err());
        assert!(accounts.put(ADMIN, AccountRole::ReadOnly, "first word").is_err());
        for (name, given) in [("", "long enough"), ("a/b", "long enough"), ("eve", "short"), ("eve", &"x".repeat(300))]
        {
            assert!(accounts.put(name, AccountRole::ReadOnly, given).is_err(), "{name:?}");
        }
        accounts.put("eve", AccountRole::Admin, "second word").unwrap();
        accounts.remove(ADMIN).unwrap();
        assert_eq!(accounts.list(), [("eve".to_owned(), AccountRole::Admin)]);
    }

    #[test]
    fn a_password_of_the_settings_is_not_kept_and_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let mut accounts = Accounts::open(path.clone()).unwrap();
        accounts.fix_admin("from the settings").unwrap();
        assert!(accounts.check(ADMIN, "from the settings").is_some());
        assert!(accounts.put(ADMIN, AccountRole::Admin, "another one").is_err());
        accounts.put("eve", AccountRole::ReadOnly, "second word").unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains(ADMIN));
    }

    #[test]
    fn a_damaged_file_stops_the_start_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        for bad in ["", "{", r#"{"accounts":[{"name":"admin","role":"admin","hash":"plain"}]}"#] {
            fs::write(&path, bad).unwrap();
            let why = Accounts::open(path.clone()).unwrap_err().to_string();
            assert!(why.contains("a.json") && why.contains("move the file away"), "{why}");
        }
    }
}
