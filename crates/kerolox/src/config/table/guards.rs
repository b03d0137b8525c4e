//! Honoured keys that fill no field of a role: they matter while settings are read.
//!
//! Asking for what this version lacks stops the start instead of being passed over.

use crate::config::key::{Class, Key, key};
use crate::config::rule::Rule;

const OPEN: &str = "this version cannot check accounts and would stand open; restrict who reaches the port instead";
const ONE_LOG: &str =
    "nothing: a log that is spread over several folders is not supported; move its files to storePathCommitLog";
const ALONE: &str = "this version has no replicas";

const fn home(class: Class) -> Key {
    key("rocketmqHome", Rule::Path, "")
        .class(class)
        .property("rocketmq.home.dir")
        .env("ROCKETMQ_HOME")
        .about("Installation folder of RocketMQ; not needed. `conf/plain_acl.yml` is looked for in it.")
}

/// Guards of a broker.
pub(crate) static BROKER_GUARDS: &[Key] = &[
    home(Class::Broker),
    key("authenticationEnabled", Rule::Only(&["false"], OPEN), "false")
        .later()
        .about("Whether callers must prove who they are, the 5.x way."),
    key("authorizationEnabled", Rule::Only(&["false"], OPEN), "false")
        .later()
        .about("Whether callers are checked for what they may do, the 5.x way."),
    key("enableDLegerCommitLog", Rule::Only(&["false"], ALONE), "false")
        .class(Class::Store)
        .about("Whether several brokers keep one log by Raft."),
    key("readOnlyCommitLogStorePaths", Rule::Form(ONE_LOG, |_| false), "")
        .class(Class::Store)
        .later()
        .about("Further folders of the log, from which RocketMQ 4.9 and later only read."),
];

/// Guards of a name server.
pub(crate) static NAMESRV_GUARDS: &[Key] = &[home(Class::Namesrv)];

/// Keys of both roles that say where to read on.
pub(crate) static NET_GUARDS: &[Key] = &[key("tls.config.file", Rule::Path, "/etc/rocketmq/tls.properties")
    .class(Class::Tls)
    .about("File with keys that begin with `tls.`, read when it exists.")];
