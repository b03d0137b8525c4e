//! Access rules, as the tools of 4.x read them.

use serde::{Deserialize, Serialize};

/// All access rules of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AclConfig {
    /// Addresses that need no account.
    pub global_white_addrs: Vec<String>,
    /// Accounts.
    pub plain_access_configs: Vec<PlainAccessConfig>,
}

/// One account.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlainAccessConfig {
    /// Its name.
    pub access_key: String,
    /// Whether it may administer.
    pub admin: bool,
    /// What it may do with groups not listed.
    pub default_group_perm: Option<String>,
    /// What it may do with topics not listed.
    pub default_topic_perm: Option<String>,
    /// `group=permission`.
    pub group_perms: Option<Vec<String>>,
    /// Its secret.
    pub secret_key: Option<String>,
    /// `topic=permission`.
    pub topic_perms: Option<Vec<String>>,
    /// Addresses that need no signature.
    pub white_remote_address: Option<String>,
}

impl std::fmt::Debug for PlainAccessConfig {
    /// Without the secret, so that no log line can hold it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainAccessConfig")
            .field("access_key", &self.access_key)
            .field("admin", &self.admin)
            .field("topic_perms", &self.topic_perms)
            .field("group_perms", &self.group_perms)
            .finish_non_exhaustive()
    }
}
