//! Commands about the accounts of brokers, and the account that all commands sign with.

use std::path::PathBuf;

use kerolox_client::Credentials;
use kerolox_wire::command::admin::UpdateAccessConfig;

use serde_json::json;

use super::command::{Command, Opt, Target, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Column, cell, left, shown};
use super::session::Session;
use super::time;

const BROKER: Opt = may('b', "brokerAddr", "on this broker only");
const CLUSTER: Opt = may('c', "clusterName", "on all masters of this cluster");

pub(super) const UPDATE_ACL_CONFIG: Command = Command {
    name: "updateAclConfig",
    about: "Create an account, or change what is given of it",
    options: &[
        BROKER,
        CLUSTER,
        must('a', "accessKey", "name of the account, more than 6 characters"),
        may('s', "secretKey", "secret of the account, more than 6 characters; a new account needs one"),
        may('w', "whiteRemoteAddress", "addresses from which the account needs no signature and has no limits"),
        may('i', "defaultTopicPerm", "topics not listed: DENY, PUB, SUB or PUB|SUB"),
        may('u', "defaultGroupPerm", "groups not listed: DENY, PUB, SUB or PUB|SUB"),
        may('t', "topicPerms", "topics, as topicA=DENY,topicD=SUB"),
        may('g', "groupPerms", "groups, as groupD=DENY,groupE=SUB"),
        may('m', "admin", "whether it is an administrator: true or false (default)"),
    ],
    target: Target::OneOf,
    shows: false,
    example: "-b 127.0.0.1:10911 -a newcomer -s a-long-secret -t orders=PUB|SUB",
    run: |s, g| Box::pin(update_acl_config(s, g)),
};

pub(super) const DELETE_ACCESS_CONFIG: Command = Command {
    name: "deleteAccessConfig",
    about: "Delete an account",
    options: &[BROKER, CLUSTER, must('a', "accessKey", "name of the account")],
    target: Target::OneOf,
    shows: false,
    example: "-b 127.0.0.1:10911 -a newcomer",
    run: |s, g| Box::pin(delete_access_config(s, g)),
};

pub(super) const CLUSTER_ACL_CONFIG_VERSION: Command = Command {
    name: "clusterAclConfigVersion",
    about: "Show how often the accounts have changed, and when last",
    options: &[BROKER, CLUSTER],
    target: Target::OneOf,
    shows: true,
    example: "-c DefaultCluster",
    run: |s, g| Box::pin(cluster_acl_config_version(s, g)),
};

pub(super) const UPDATE_GLOBAL_WHITE_ADDR: Command = Command {
    name: "updateGlobalWhiteAddr",
    about: "Replace the addresses whose requests are not checked",
    options: &[BROKER, CLUSTER, must('g', "globalWhiteRemoteAddresses", "addresses, as 10.10.103.*,192.168.0.*")],
    target: Target::OneOf,
    shows: false,
    example: "-b 127.0.0.1:10911 -g 10.10.103.*,192.168.0.*",
    run: |s, g| Box::pin(update_global_white_addr(s, g)),
};

pub(super) const GET_ACCESS_CONFIG: Command = Command {
    name: "getAccessConfigSubCommand",
    about: "Show all accounts, without their secrets",
    options: &[BROKER, CLUSTER],
    target: Target::OneOf,
    shows: true,
    example: "-c DefaultCluster",
    run: |s, g| Box::pin(get_access_config(s, g)),
};

/// The account in `conf/tools.yml` of RocketMQ's installation folder, where there is one.
pub(super) fn account(home: Option<PathBuf>) -> Result<Option<Credentials>, String> {
    let Some(file) = home.map(|home| home.join("conf/tools.yml")).filter(|file| file.exists()) else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    text.and_then(|text| kerolox_broker::tool_account(&text))
        .map_err(|why| format!("{} cannot be used: {why}", file.display()))
}

async fn update_acl_config(s: &Session, given: &Given) -> Result<(), Failure> {
    let access_key = given.required('a')?.to_owned();
    let text = |letter| given.get(letter).map(str::to_owned);
    let account = UpdateAccessConfig {
        access_key,
        secret_key: text('s'),
        white_remote_address: text('w'),
        admin: given.get('m').is_some_and(|text| text.eq_ignore_ascii_case("true")),
        default_topic_perm: text('i'),
        default_group_perm: text('u'),
        topic_perms: text('t'),
        group_perms: text('g'),
    };
    for address in s.masters(given).await? {
        s.client.put_account(&address, &account).await?;
        s.out.line(format_args!("create or update plain access config to {address} success."));
    }
    s.out.line(format_args!("account's accesskey is:{}", account.access_key));
    Ok(())
}

async fn delete_access_config(s: &Session, given: &Given) -> Result<(), Failure> {
    let access_key = given.required('a')?;
    for address in s.masters(given).await? {
        s.client.delete_account(&address, access_key).await?;
        s.out.line(format_args!("delete plain access config account to {address} success."));
    }
    s.out.line(format_args!("account's accesskey is:{access_key}"));
    Ok(())
}

const VERSION_COLUMNS: &[Column] = &[
    left("#Cluster Name", "clusterName", 16),
    left("#Broker Name", "brokerName", 22),
    left("#Broker Addr", "brokerAddr", 22),
    left("#AclConfigVersionNum", "version", 20),
    left("#AclLastUpdateTime", "lastUpdateTimestamp", 22),
];

async fn cluster_acl_config_version(s: &Session, given: &Given) -> Result<(), Failure> {
    let mut table = if given.flag('b') { s.out.rows(VERSION_COLUMNS) } else { s.out.table(VERSION_COLUMNS) };
    for address in s.masters(given).await? {
        let (told, version) = s.client.accounts_version(&address).await?;
        table.row([
            cell(told.cluster_name),
            cell(told.broker_name),
            cell(told.broker_addr),
            cell(version.counter),
            shown(time::to_seconds(version.timestamp), version.timestamp),
        ]);
    }
    table.end();
    let whose = if given.flag('b') { "broker's" } else { "cluster's" };
    s.out.line(format_args!("get {whose} plain access config version success."));
    Ok(())
}

async fn update_global_white_addr(s: &Session, given: &Given) -> Result<(), Failure> {
    let addresses = given.required('g')?;
    for address in s.masters(given).await? {
        s.client.set_global_white_addresses(&address, addresses).await?;
        s.out.line(format_args!("update global white remote addresses to {address} success."));
    }
    Ok(())
}

async fn get_access_config(s: &Session, given: &Given) -> Result<(), Failure> {
    let mut all = Vec::new();
    for address in s.masters(given).await? {
        let mut config = s.client.accounts(&address).await?;
        // Old brokers tell secrets; neither a terminal nor a file is a place for them.
        config.plain_access_configs.iter_mut().filter_map(|account| account.secret_key.as_mut()).for_each(|secret| {
            "******".clone_into(secret);
        });
        let white = config.global_white_addrs.join(", ");
        s.out.line("");
        s.out.line(format_args!("globalWhiteRemoteAddresses: [{white}]"));
        s.out.lines("\naccounts:");
        for account in &config.plain_access_configs {
            let many = |list: &Option<Vec<String>>| {
                list.as_ref().map(|list| format!("[{}]", list.join(", "))).unwrap_or_default()
            };
            let one = |text: &Option<String>| text.clone().unwrap_or_default();
            for (name, value) in [
                ("accessKey", account.access_key.clone()),
                ("secretKey", one(&account.secret_key)),
                ("whiteRemoteAddress", one(&account.white_remote_address)),
                ("admin", account.admin.to_string()),
                ("defaultTopicPerm", one(&account.default_topic_perm)),
                ("defaultGroupPerm", one(&account.default_group_perm)),
                ("topicPerms", many(&account.topic_perms)),
                ("groupPerms", many(&account.group_perms)),
            ] {
                s.out.line(format_args!("  {name:<18}: {value}"));
            }
            s.out.line("");
        }
        all.push(json!({
            "brokerAddr": address,
            "globalWhiteRemoteAddresses": config.global_white_addrs,
            "accounts": config.plain_access_configs,
        }));
    }
    s.out.json(all);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_comes_from_the_tools_file() {
        let dir = tempfile::tempdir().unwrap();
        let home = || Some(dir.path().to_owned());
        assert_eq!(account(None).unwrap(), None);
        assert_eq!(account(home()).unwrap(), None);
        let write = |text: &str| std::fs::write(dir.path().join("conf/tools.yml"), text).unwrap();
        std::fs::create_dir_all(dir.path().join("conf")).unwrap();
        write("accessKey: rocketmq2\nsecretKey: 00345678\n");
        let found = account(home()).unwrap().unwrap();
        assert_eq!((found.access_key.as_str(), found.secret_key.as_str()), ("rocketmq2", "00345678"));
        write("accessKey:\nsecretKey:\n");
        assert_eq!(account(home()).unwrap(), None);
        write("accessKey: [");
        assert!(account(home()).unwrap_err().to_string().contains("tools.yml cannot be used"));
    }
}
