//! Keys of the web console: alone, and in a standalone node.

use crate::config::key::{Class, key, keys};
use crate::config::rule::{ADDRESSES, IP, Rule};

keys! {
    /// How the console runs.
    struct ConsoleKeys, CONSOLE_KEYS, Class::Console;
    /// Whether a standalone node has the console.
    enable: bool = key("consoleEnable", Rule::Switch, "true").later();
    /// Port of the console, for browsers.
    port: u16 = key("consolePort", Rule::Number(1, 65_535), "8080").later();
    /// Address on which the console listens.
    bind_address: String = key("consoleBindAddress", IP, "127.0.0.1").later();
    /// Host names that browsers may name, joined by commas; empty: any, or only addresses and `localhost` on loopback.
    hosts: String = key("consoleHosts", Rule::Text, "").later();
    /// Password of the console's account `admin`, as text or as an argon2 hash; empty: one is made at the first start.
    password: String = key("consolePassword", Rule::Text, "").later();
    /// Account that the console signs with where brokers check accounts; empty: `mqadmin`'s, in `tools.yml`.
    access_key: String = key("consoleAccessKey", Rule::Text, "").later();
    /// Secret of that account.
    secret_key: String = key("consoleSecretKey", Rule::Text, "").later();
    /// Folder of the console's accounts and its audit log.
    folder: String = key("consoleDataDir", Rule::Path, "").later()
        .of("$HOME/console, DIR/console in a standalone node", |host| host.below_home("console"));
}

keys! {
    /// What a console that runs alone looks at.
    struct WatchedKeys, WATCHED_KEYS, Class::Console;
    /// Name servers of the cluster that the console shows, `host:port` joined by `;`.
    namesrv_addr: String = key("namesrvAddr", ADDRESSES, "")
        .property("rocketmq.namesrv.addr")
        .env("NAMESRV_ADDR");
}
