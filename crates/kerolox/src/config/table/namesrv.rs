//! Keys of `NamesrvConfig` that do what they say.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::key::{Class, key, keys};
use crate::config::rule::Rule;

/// Patterns of addresses as the accounts of the access control have them.
const PATTERNS: Rule = Rule::Form("addresses and patterns such as 10.0.0.1,10.0.1.*, joined by commas", |text| {
    kerolox_wire::addresses::Addresses::parse(text).is_ok()
});

keys! {
    /// What a name server keeps and tells.
    struct NamesrvKeys, NAMESRV_KEYS, Class::Namesrv;
    /// File of the key-value configuration.
    kv_config_path: PathBuf = key("kvConfigPath", Rule::Path, "")
        .of("$HOME/namesrv/kvConfig.json", |host| host.below_home("namesrv/kvConfig.json"));
    /// Whether routes carry the order configuration of a topic.
    order_message_enable: bool = key("orderMessageEnable", Rule::Switch, "false").live("order_message");
    /// How often the name server looks for brokers that went silent.
    scan_not_active_broker_interval: Duration = key("scanNotActiveBrokerInterval", Rule::AtMost(100, 60_000), "5000")
        .ms()
        .later();
    /// Addresses that brokers may register from, as `10.0.0.1,10.0.1.*`, a standalone node's own too; empty: all.
    broker_addresses: String = key("allowedBrokerAddresses", PATTERNS, "").later();
}
