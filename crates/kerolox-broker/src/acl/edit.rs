//! Changes of a file of accounts by request. What the file holds besides stays as it is.

use kerolox_wire::body::DataVersion;
use kerolox_wire::command::admin::UpdateAccessConfig;

use super::rules::{
    ACCESS_KEY, ACCOUNTS, ADMIN, COUNTER, DATA_VERSION, DEFAULT_GROUP, DEFAULT_TOPIC, GLOBAL_WHITE_ADDRESSES, GROUPS,
    SECRET_KEY, TIMESTAMP, TOPICS, WHITE_ADDRESS,
};
use super::yaml::Node;

/// One change.
pub(crate) enum Edit {
    /// Creates the account, or changes what is given of it.
    Put(Box<UpdateAccessConfig>),
    /// Deletes the account of this name.
    Delete(String),
    /// Replaces the addresses that are not checked, joined by commas.
    White(String),
}

impl Edit {
    /// Changes the tree.
    ///
    /// # Errors
    /// A sentence with what is in the way.
    pub(super) fn apply(&self, tree: &mut Node) -> Result<(), String> {
        let no_list = |key: &str| format!("{key} is not a list");
        match self {
            Self::Put(asked) => {
                let accounts = tree.list_mut(ACCOUNTS).ok_or_else(|| no_list(ACCOUNTS))?;
                match accounts.iter_mut().find(|account| is(account, &asked.access_key)) {
                    Some(account) => put(account, asked),
                    None => {
                        let mut account = Node::Map(Vec::new());
                        put(&mut account, asked);
                        accounts.push(account);
                    }
                }
            }
            Self::Delete(name) => {
                let accounts = tree.list_mut(ACCOUNTS).ok_or_else(|| no_list(ACCOUNTS))?;
                let before = accounts.len();
                accounts.retain(|account| !is(account, name));
                if accounts.len() == before {
                    return Err(format!("there is no account {name:?}"));
                }
            }
            Self::White(addresses) => tree.set(GLOBAL_WHITE_ADDRESSES, texts(addresses)),
        }
        Ok(())
    }
}

/// Writes the version of the file.
pub(super) fn put_version(tree: &mut Node, version: DataVersion) {
    let number = |value: i64| Node::Plain(value.to_string());
    let mut entry = Node::Map(Vec::new());
    entry.set(COUNTER, number(version.counter));
    entry.set(TIMESTAMP, number(version.timestamp));
    tree.set(DATA_VERSION, Node::List(vec![entry]));
}

fn is(account: &Node, name: &str) -> bool {
    account.get(ACCESS_KEY).and_then(Node::as_str) == Some(name)
}

fn put(account: &mut Node, asked: &UpdateAccessConfig) {
    account.set(ACCESS_KEY, Node::text(&asked.access_key));
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    for (key, value) in [
        (SECRET_KEY, &asked.secret_key),
        (WHITE_ADDRESS, &asked.white_remote_address),
        (DEFAULT_TOPIC, &asked.default_topic_perm),
        (DEFAULT_GROUP, &asked.default_group_perm),
    ] {
        if let Some(value) = given(value) {
            account.set(key, Node::text(&value));
        }
    }
    account.set(ADMIN, Node::Plain(asked.admin.to_string()));
    for (key, value) in [(TOPICS, &asked.topic_perms), (GROUPS, &asked.group_perms)] {
        if let Some(value) = given(value) {
            account.set(key, texts(&value));
        }
    }
}

fn texts(joined: &str) -> Node {
    Node::List(joined.split(',').map(str::trim).filter(|text| !text.is_empty()).map(Node::text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::rules::{Rules, shown};

    fn asked(name: &str) -> UpdateAccessConfig {
        UpdateAccessConfig {
            access_key: name.to_owned(),
            secret_key: None,
            white_remote_address: None,
            admin: false,
            default_topic_perm: None,
            default_group_perm: None,
            topic_perms: None,
            group_perms: None,
        }
    }

    fn after(text: &str, edit: &Edit) -> Result<Node, String> {
        let mut tree = Node::parse(text).unwrap();
        edit.apply(&mut tree)?;
        Node::parse(&tree.write().unwrap())
    }

    const FILE: &str =
        "accounts:\n- accessKey: someuser\n  secretKey: 00345678\n  mine: {a: 1}\n  topicPerms: [a=PUB]\nother: [x]\n";

    #[test]
    fn an_account_keeps_what_is_not_given_and_the_file_what_is_unknown() {
        let edit = Edit::Put(Box::new(UpdateAccessConfig {
            group_perms: Some("g=SUB,h=DENY".to_owned()),
            default_topic_perm: Some("PUB".to_owned()),
            admin: true,
            ..asked("someuser")
        }));
        let tree = after(FILE, &edit).unwrap();
        let text = tree.write().unwrap();
        for part in ["secretKey: 00345678", "a: 1", "a=PUB", "admin: true", "g=SUB", "h=DENY", "other:"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        Rules::of(&tree).unwrap();
    }

    #[test]
    fn accounts_come_and_go() {
        let new = UpdateAccessConfig { secret_key: Some("12345678".to_owned()), ..asked("another") };
        let tree = after(FILE, &Edit::Put(Box::new(new))).unwrap();
        assert_eq!(shown(&tree).unwrap().plain_access_configs.len(), 2);
        // Without a secret there is no account; the caller reads the tree before it writes.
        let tree = after(FILE, &Edit::Put(Box::new(asked("another")))).unwrap();
        assert!(Rules::of(&tree).err().unwrap().contains("secretKey"));
        let tree = after(FILE, &Edit::Delete("someuser".to_owned())).unwrap();
        assert!(shown(&tree).unwrap().plain_access_configs.is_empty());
        assert!(after(FILE, &Edit::Delete("nobody-there".to_owned())).unwrap_err().contains("no account"));
        assert!(after("accounts: x", &Edit::Delete("x".to_owned())).unwrap_err().contains("not a list"));
    }

    #[test]
    fn addresses_are_replaced() {
        let tree =
            after("globalWhiteRemoteAddresses:\n- 1.2.3.4\n", &Edit::White("10.0.0.*, 10.1.*.*".to_owned())).unwrap();
        assert_eq!(shown(&tree).unwrap().global_white_addrs, ["10.0.0.*", "10.1.*.*"]);
        let tree = after("", &Edit::White("10.0.0.1".to_owned())).unwrap();
        assert_eq!(shown(&tree).unwrap().global_white_addrs, ["10.0.0.1"]);
    }

    #[test]
    fn the_version_is_written_as_java_writes_it() {
        let mut tree = Node::parse(FILE).unwrap();
        put_version(&mut tree, DataVersion { counter: 4, timestamp: 7 });
        assert_eq!(Rules::of(&tree).unwrap().version, Some(DataVersion { counter: 4, timestamp: 7 }));
        assert!(tree.write().unwrap().contains("dataVersion:\n  - counter: 4\n    timestamp: 7"));
    }
}
