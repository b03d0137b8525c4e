//! What a file of accounts says: who may do what.

use std::collections::HashMap;
use std::net::IpAddr;

use kerolox_wire::addresses::Addresses;
use kerolox_wire::body::{AclConfig, DataVersion, PlainAccessConfig};
use kerolox_wire::names::RETRY_PREFIX;

use super::need::{Access, Need, Resource};
use super::yaml::Node;

pub(super) const GLOBAL_WHITE_ADDRESSES: &str = "globalWhiteRemoteAddresses";
pub(super) const ACCOUNTS: &str = "accounts";
pub(super) const ACCESS_KEY: &str = "accessKey";
pub(super) const SECRET_KEY: &str = "secretKey";
pub(super) const WHITE_ADDRESS: &str = "whiteRemoteAddress";
pub(super) const ADMIN: &str = "admin";
pub(super) const DEFAULT_TOPIC: &str = "defaultTopicPerm";
pub(super) const DEFAULT_GROUP: &str = "defaultGroupPerm";
pub(super) const TOPICS: &str = "topicPerms";
pub(super) const GROUPS: &str = "groupPerms";
pub(super) const DATA_VERSION: &str = "dataVersion";
pub(super) const COUNTER: &str = "counter";
pub(super) const TIMESTAMP: &str = "timestamp";

/// Names and secrets of accounts are longer than this many characters, as in 4.7.1.
const KEY_LENGTH_ABOVE: usize = 6;

/// What one account may do with a topic or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Grant {
    publish: bool,
    subscribe: bool,
}

impl Grant {
    fn parse(text: &str) -> Result<Self, String> {
        let (publish, subscribe) = match text.trim() {
            "DENY" => (false, false),
            "PUB" => (true, false),
            "SUB" => (false, true),
            "PUB|SUB" | "SUB|PUB" => (true, true),
            other => return Err(format!("{other:?} is no permission; it is DENY, PUB, SUB or PUB|SUB")),
        };
        Ok(Self { publish, subscribe })
    }

    fn allows(self, access: Access) -> bool {
        match access {
            Access::Publish => self.publish,
            Access::Subscribe => self.subscribe,
            Access::Either => self.publish || self.subscribe,
        }
    }
}

/// One account. Not shown as a whole anywhere, since it holds the secret.
pub(crate) struct Account {
    pub(super) secret_key: String,
    white: Addresses,
    admin: bool,
    default_topic: Grant,
    default_group: Grant,
    topics: HashMap<String, Grant>,
    groups: HashMap<String, Grant>,
}

/// A whole file.
pub(crate) struct Rules {
    white: Vec<Addresses>,
    accounts: HashMap<String, Account>,
    pub(super) version: Option<DataVersion>,
}

impl Rules {
    /// Reads a file's tree.
    ///
    /// # Errors
    /// A sentence with the place and what is allowed; no secrets.
    pub(crate) fn of(tree: &Node) -> Result<Self, String> {
        if !matches!(tree, Node::Map(_)) {
            return Err("it is not a map with the keys globalWhiteRemoteAddresses and accounts".to_owned());
        }
        let white = texts(tree, GLOBAL_WHITE_ADDRESSES)?
            .into_iter()
            .map(|text| Addresses::parse(text).map_err(|why| format!("{GLOBAL_WHITE_ADDRESSES}: {why}")));
        let white = white.collect::<Result<_, _>>()?;
        let mut accounts = HashMap::new();
        for (index, node) in list(tree, ACCOUNTS)?.iter().enumerate() {
            let (name, account) = account(node).map_err(|(name, why)| match name {
                Some(name) => format!("account {name:?}: {why}"),
                None => format!("account number {}: {why}", index + 1),
            })?;
            if accounts.insert(name.clone(), account).is_some() {
                return Err(format!("account {name:?} is there twice"));
            }
        }
        Ok(Self { white, accounts, version: version(tree)? })
    }

    /// Whether requests from there are not checked at all.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.white.iter().any(|white| white.contain(address))
    }

    /// Whether neither an account nor an address is named.
    pub(crate) fn let_nobody_in(&self) -> bool {
        self.accounts.is_empty() && self.white.iter().all(|white| *white == Addresses::None)
    }

    /// The account of that name.
    pub(crate) fn account(&self, access_key: &str) -> Option<&Account> {
        self.accounts.get(access_key)
    }
}

impl Account {
    /// Whether requests from there need no signature and have no limits but those of administration.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.white.contain(address)
    }

    /// Whether the account is an administrator's where one is needed.
    ///
    /// # Errors
    /// A sentence that says so.
    pub(crate) fn may_administer(&self, need: &Need<'_>) -> Result<(), String> {
        if need.admin && !self.admin { Err("only an administrator may do that".to_owned()) } else { Ok(()) }
    }

    /// Whether the account may do that.
    ///
    /// # Errors
    /// A sentence with what is missing.
    pub(crate) fn may(&self, need: &Need<'_>) -> Result<(), String> {
        self.may_administer(need)?;
        if self.admin && self.topics.is_empty() && self.groups.is_empty() {
            return Ok(());
        }
        for (resource, access) in &need.resources {
            let (kind, name, listed, default) = match resource {
                Resource::Topic(name) => ("topic", name, &self.topics, self.default_topic),
                Resource::Group(name) => ("group", name, &self.groups, self.default_group),
            };
            let grant = listed.get(name.as_ref()).copied().unwrap_or(default);
            if !grant.allows(*access) {
                return Err(format!("No default permission for {kind}:{name}"));
            }
        }
        Ok(())
    }
}

fn account(node: &Node) -> Result<(String, Account), (Option<String>, String)> {
    let name = node.get(ACCESS_KEY).and_then(Node::as_str).map(str::to_owned);
    let long = |text: &str| text.chars().count() > KEY_LENGTH_ABOVE;
    let at = |why: String| (name.clone(), why);
    let Some(access_key) = name.clone().filter(|name| long(name)) else {
        return Err(at(format!("accessKey must have more than {KEY_LENGTH_ABOVE} characters")));
    };
    let secret = node.get(SECRET_KEY).and_then(Node::as_str).filter(|secret| long(secret));
    let secret_key =
        secret.ok_or_else(|| at(format!("secretKey must have more than {KEY_LENGTH_ABOVE} characters")))?.to_owned();
    let grant = |key: &str| -> Result<Grant, (Option<String>, String)> {
        let text = text(node, key).map_err(at)?.unwrap_or("DENY");
        Grant::parse(text).map_err(|why| at(format!("{key}: {why}")))
    };
    let white = text(node, WHITE_ADDRESS).map_err(at)?.unwrap_or_default();
    let mut topics = grants(node, TOPICS).map_err(at)?;
    let mut groups = grants(node, GROUPS).map_err(at)?;
    // A retry topic is its group's, whichever list it stands in.
    let retry: Vec<String> = topics.keys().filter(|topic| topic.starts_with(RETRY_PREFIX)).cloned().collect();
    for topic in retry {
        if let (Some(grant), Some(group)) = (topics.remove(&topic), topic.strip_prefix(RETRY_PREFIX)) {
            groups.insert(group.to_owned(), grant);
        }
    }
    let account = Account {
        secret_key,
        white: Addresses::parse(white).map_err(|why| at(format!("{WHITE_ADDRESS}: {why}")))?,
        admin: admin(node).map_err(at)?,
        default_topic: grant(DEFAULT_TOPIC)?,
        default_group: grant(DEFAULT_GROUP)?,
        topics,
        groups,
    };
    Ok((access_key, account))
}

fn admin(node: &Node) -> Result<bool, String> {
    // All that Java's reader of YAML takes for a truth value.
    match text(node, ADMIN)?.unwrap_or("false").to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        other => Err(format!("admin is {other:?}; it is true or false")),
    }
}

fn grants(node: &Node, key: &str) -> Result<HashMap<String, Grant>, String> {
    let entry = |text: &str| {
        let halves = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        let (name, grant) = halves.ok_or_else(|| format!("{key}: {text:?} is not name=permission"))?;
        let grant = Grant::parse(grant).map_err(|why| format!("{key}: {}: {why}", name.trim()))?;
        Ok((name.trim().to_owned(), grant))
    };
    texts(node, key)?.into_iter().map(entry).collect()
}

fn version(tree: &Node) -> Result<Option<DataVersion>, String> {
    let Some(first) = list(tree, DATA_VERSION)?.first() else { return Ok(None) };
    let number = |key: &str| match text(first, key)? {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| format!("{DATA_VERSION}: {key} is {text:?}, which is no number")),
    };
    Ok(Some(DataVersion { counter: number(COUNTER)?, timestamp: number(TIMESTAMP)? }))
}

fn text<'a>(node: &'a Node, key: &str) -> Result<Option<&'a str>, String> {
    match node.get(key) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| format!("{key} must be one value")),
    }
}

fn list<'a>(node: &'a Node, key: &str) -> Result<&'a [Node], String> {
    match node.get(key) {
        None => Ok(&[]),
        Some(Node::List(list)) => Ok(list),
        Some(_) => Err(format!("{key} must be a list")),
    }
}

fn texts<'a>(node: &'a Node, key: &str) -> Result<Vec<&'a str>, String> {
    let each = list(node, key)?.iter().filter(|entry| !entry.is_null());
    each.map(|entry| entry.as_str().ok_or_else(|| format!("{key} must be a list of single values"))).collect()
}

/// What administrators are shown of a file: everything but the secrets.
///
/// # Errors
/// As [`Rules::of`].
pub(super) fn shown(tree: &Node) -> Result<AclConfig, String> {
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let account = |node: &Node| -> Result<PlainAccessConfig, String> {
        let one = |key: &str| Ok::<_, String>(text(node, key)?.map(str::to_owned));
        let many = |key: &str| Ok::<_, String>(node.get(key).map(|_| texts(node, key)).transpose()?.map(owned));
        Ok(PlainAccessConfig {
            access_key: one(ACCESS_KEY)?.unwrap_or_default(),
            admin: admin(node)?,
            default_group_perm: one(DEFAULT_GROUP)?,
            default_topic_perm: one(DEFAULT_TOPIC)?,
            group_perms: many(GROUPS)?,
            secret_key: None,
            topic_perms: many(TOPICS)?,
            white_remote_address: one(WHITE_ADDRESS)?,
        })
    };
    Ok(AclConfig {
        global_white_addrs: owned(texts(tree, GLOBAL_WHITE_ADDRESSES)?),
        plain_access_configs: list(tree, ACCOUNTS)?.iter().map(account).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    const FILE: &str = "
globalWhiteRemoteAddresses:
- 10.10.103.*
accounts:
- accessKey: someuser
  secretKey: 12345678
  whiteRemoteAddress: 192.168.1.*
  admin: false
  defaultTopicPerm: DENY
  defaultGroupPerm: SUB
  topicPerms:
  - topicA=DENY
  - topicB=PUB|SUB
  - topicC=SUB
  - '%RETRY%groupD=PUB'
  groupPerms:
  - groupA=DENY
- accessKey: administrator
  secretKey: 87654321
  admin: true
- accessKey: halfadmin
  secretKey: 87654321
  admin: true
  topicPerms: [topicB=PUB]
dataVersion:
- counter: 3
  timestamp: 1600000000000
";

    fn rules() -> Rules {
        Rules::of(&Node::parse(FILE).unwrap()).unwrap()
    }

    fn may(account: &str, resource: Resource<'static>, access: Access) -> bool {
        let need = Need { resources: smallvec![(resource, access)], ..Need::default() };
        rules().account(account).unwrap().may(&need).is_ok()
    }

    #[test]
    fn lists_come_before_defaults() {
        let topic = |name| Resource::Topic(std::borrow::Cow::Borrowed(name));
        let group = |name| Resource::Group(std::borrow::Cow::Borrowed(name));
        use Access::{Either, Publish, Subscribe};
        for (resource, access, expected) in [
            (topic("topicA"), Publish, false),
            (topic("topicB"), Publish, true),
            (topic("topicB"), Subscribe, true),
            (topic("topicC"), Publish, false),
            (topic("topicC"), Subscribe, true),
            (topic("topicC"), Either, true),
            (topic("other"), Either, false),
            (group("groupA"), Subscribe, false),
            (group("groupD"), Publish, true),
            (group("groupD"), Subscribe, false),
            (group("other"), Subscribe, true),
            (group("other"), Publish, false),
        ] {
            assert_eq!(may("someuser", resource.clone(), access), expected, "{resource:?} {access:?}");
            assert!(may("administrator", resource, access));
        }
        // An administrator with lists of its own is bound to them, as in 4.7.1.
        assert!(may("halfadmin", topic("topicB"), Publish) && !may("halfadmin", topic("topicC"), Publish));
        let need = Need { admin: true, ..Need::default() };
        assert!(rules().account("someuser").unwrap().may(&need).is_err());
        assert!(rules().account("administrator").unwrap().may(&need).is_ok());
    }

    #[test]
    fn addresses_and_the_version_are_read() {
        let rules = rules();
        assert!(rules.trusts("10.10.103.7".parse().unwrap()) && !rules.trusts("10.10.104.7".parse().unwrap()));
        assert!(rules.account("someuser").unwrap().trusts("192.168.1.7".parse().unwrap()));
        assert!(!rules.account("administrator").unwrap().trusts("192.168.1.7".parse().unwrap()));
        assert_eq!(rules.version, Some(DataVersion { counter: 3, timestamp: 1_600_000_000_000 }));
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        for (text, part) in [
            ("[]", "not a map"),
            ("accounts: x", "accounts must be a list"),
            ("accounts: [{accessKey: short, secretKey: hidden-7}]", "\"short\": accessKey must have more than 6"),
            (
                "accounts: [{accessKey: longenough, secretKey: hidden}]",
                "\"longenough\": secretKey must have more than 6",
            ),
            ("accounts: [{secretKey: hidden-7}]", "account number 1"),
            ("accounts: [{accessKey: longenough, secretKey: hidden-7, admin: maybe}]", "admin is \"maybe\""),
            ("accounts: [{accessKey: longenough, secretKey: hidden-7, topicPerms: [a]}]", "is not name=permission"),
            (
                "accounts: [{accessKey: longenough, secretKey: hidden-7, topicPerms: [a=READ]}]",
                "\"READ\" is no permission",
            ),
            (
                "accounts: [{accessKey: longenough, secretKey: hidden-7, whiteRemoteAddress: 1.2.3}]",
                "is not an address",
            ),
            (
                "accounts: [{accessKey: longenough, secretKey: hidden-7}, {accessKey: longenough, secretKey: hidden-8}]",
                "twice",
            ),
            ("globalWhiteRemoteAddresses: [1.2.3.4.5]", "globalWhiteRemoteAddresses: "),
            ("dataVersion: [{counter: x}]", "counter is \"x\""),
        ] {
            let why = Rules::of(&Node::parse(text).unwrap()).err().unwrap();
            assert!(why.contains(part) && !why.contains("hidden"), "{why}");
        }
        assert!(Rules::of(&Node::parse("").unwrap()).is_ok());
    }

    #[test]
    fn administrators_see_all_but_the_secrets() {
        let shown = shown(&Node::parse(FILE).unwrap()).unwrap();
        assert_eq!(shown.global_white_addrs, ["10.10.103.*"]);
        assert_eq!(shown.plain_access_configs.len(), 3);
        let first = &shown.plain_access_configs[0];
        assert_eq!(first.topic_perms.as_ref().map(Vec::len), Some(4));
        assert!(shown.plain_access_configs.iter().all(|account| account.secret_key.is_none()));
    }
}
