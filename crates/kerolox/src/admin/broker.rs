//! Commands about one broker's settings, figures and housekeeping.

use serde_json::{Value, json};

use super::command::{Command, Target, may, must};
use super::failure::Failure;
use super::options::Given;
use super::session::Session;

pub(super) const BROKER_STATUS: Command = Command {
    name: "brokerStatus",
    about: "Show the figures of a running broker",
    options: &[may('b', "brokerAddr", "broker to ask"), may('c', "clusterName", "all brokers of this cluster")],
    target: Target::Either,
    shows: true,
    example: "-b 127.0.0.1:10911",
    run: |s, g| Box::pin(broker_status(s, g)),
};

pub(super) const GET_BROKER_CONFIG: Command = Command {
    name: "getBrokerConfig",
    about: "Show all settings of a broker",
    options: &[may('b', "brokerAddr", "broker to ask"), may('c', "clusterName", "all brokers of this cluster")],
    target: Target::Either,
    shows: true,
    example: "-b 127.0.0.1:10911",
    run: |s, g| Box::pin(get_broker_config(s, g)),
};

pub(super) const UPDATE_BROKER_CONFIG: Command = Command {
    name: "updateBrokerConfig",
    about: "Change a setting of a running broker",
    options: &[
        may('b', "brokerAddr", "on this broker only"),
        may('c', "clusterName", "on all masters of this cluster"),
        must('k', "key", "name of the setting"),
        must('v', "value", "new value"),
    ],
    target: Target::Either,
    shows: false,
    example: "-b 127.0.0.1:10911 -k deleteWhen -v 04",
    run: |s, g| Box::pin(update_broker_config(s, g)),
};

pub(super) const CLEAN_EXPIRED_CQ: Command = Command {
    name: "cleanExpiredCQ",
    about: "Delete queue files whose messages are gone",
    options: &[
        may('b', "brokerAddr", "on this broker only"),
        may('c', "cluster", "on all brokers of this cluster; of all clusters if neither is given"),
    ],
    target: Target::Free,
    shows: false,
    example: "-b 127.0.0.1:10911",
    run: |s, g| Box::pin(clean(s, g, Cleaning::ExpiredQueues)),
};

pub(super) const CLEAN_UNUSED_TOPIC: Command = Command {
    name: "cleanUnusedTopic",
    about: "Delete queues of topics that do not exist any more",
    options: &[
        may('b', "brokerAddr", "on this broker only"),
        may('c', "cluster", "on all brokers of this cluster; of all clusters if neither is given"),
    ],
    target: Target::Free,
    shows: false,
    example: "-c DefaultCluster",
    run: |s, g| Box::pin(clean(s, g, Cleaning::UnusedTopics)),
};

/// How many blanks a setting's name is filled up to.
pub(super) const SETTING_WIDTH: usize = 50;

async fn broker_status(s: &Session, given: &Given) -> Result<(), Failure> {
    if let Some(address) = given.get('b') {
        let figures = s.client.runtime_info(address).await?;
        for (name, value) in &figures {
            s.out.line(format_args!("{name:<32}: {value}"));
        }
        s.out.json([json!({"brokerAddr": address, "figures": figures})]);
        return Ok(());
    }
    let brokers = s.client.cluster(given.required('c')?).await?;
    let mut last = Ok(());
    let mut all = Vec::new();
    for (_, address) in brokers.addresses() {
        match s.client.runtime_info(address).await {
            Ok(figures) => {
                for (name, value) in &figures {
                    s.out.line(format_args!("{address:<24} {name:<32}: {value}"));
                }
                all.push(json!({"brokerAddr": address, "figures": figures}));
            }
            // The others are still worth showing.
            Err(why) => {
                super::output::complain(&why);
                last = Err(why.into());
            }
        }
    }
    s.out.json(all);
    last
}

async fn get_broker_config(s: &Session, given: &Given) -> Result<(), Failure> {
    if let Some(address) = given.get('b') {
        let config = show_config(s, &format!("============{address}============"), address).await?;
        s.out.json([config]);
        return Ok(());
    }
    let mut all = Vec::new();
    let cluster = s.client.cluster(given.required('c')?).await?;
    for broker in cluster.brokers.values() {
        let master = kerolox_client::route::master_of(broker);
        if let Some(master) = master {
            all.push(show_config(s, &format!("============Master: {master}============"), master).await?);
        }
        for (id, slave) in &broker.broker_addrs {
            if *id != kerolox_client::route::MASTER_ID {
                let of = master.unwrap_or("null");
                let title = format!("============My Master: {of}=====Slave: {slave}============");
                all.push(show_config(s, &title, slave).await?);
            }
        }
    }
    s.out.json(all);
    Ok(())
}

/// Prints the settings of a broker for people, and returns them for programs.
async fn show_config(s: &Session, title: &str, address: &str) -> Result<Value, Failure> {
    let settings = s.client.broker_config(address).await?;
    s.out.line(title);
    for (name, value) in &settings {
        s.out.line(format_args!("{name:<SETTING_WIDTH$}=  {value}"));
    }
    s.out.line("");
    Ok(json!({"brokerAddr": address, "settings": settings}))
}

async fn update_broker_config(s: &Session, given: &Given) -> Result<(), Failure> {
    let (key, value) = (given.required('k')?, given.required('v')?);
    let mut last = Ok(());
    for address in s.masters(given).await? {
        match s.client.set_broker_config(&address, key, value).await {
            Ok(()) => s.out.line(format_args!("update broker config success, {address}")),
            Err(why) => {
                super::output::complain(&why);
                last = Err(why.into());
            }
        }
    }
    last
}

#[derive(Clone, Copy)]
enum Cleaning {
    ExpiredQueues,
    UnusedTopics,
}

async fn clean(s: &Session, given: &Given, what: Cleaning) -> Result<(), Failure> {
    let mut addresses: Vec<String> = Vec::new();
    if let Some(address) = given.get('b') {
        addresses.push(address.to_owned());
    } else {
        let info = s.client.cluster_info().await?;
        for cluster in info.cluster_addr_table.keys() {
            if given.get('c').is_none_or(|wanted| wanted == cluster) {
                let brokers = kerolox_client::route::brokers_of(&info, cluster)?;
                addresses.extend(brokers.addresses().map(|(_, address)| address.to_owned()));
            }
        }
    }
    if addresses.is_empty() {
        s.out.line("false");
        return Err(Failure::failed("no broker is there to be cleaned"));
    }
    for address in addresses {
        match what {
            Cleaning::ExpiredQueues => s.client.clean_expired_queues(&address).await?,
            Cleaning::UnusedTopics => s.client.clean_unused_topics(&address).await?,
        }
    }
    s.out.line("success");
    Ok(())
}
