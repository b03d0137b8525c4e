//! Keys of a broker that may change while it runs.
//!
//! They fill no field of the settings: the running broker has a cell for each, named here by `live`.

use crate::config::key::{Key, key};
use crate::config::rule::Rule;

/// The keys; every one is honoured.
pub(crate) static BROKER_LIVE: &[Key] = &[
    key("brokerPermission", Rule::OneOf(&["2", "4", "6"]), "6")
        .live("permission")
        .about("What clients may do: 2 write, 4 read, 6 both."),
    key("autoCreateTopicEnable", Rule::Switch, "true")
        .live("auto_create_topic")
        .important()
        .about("Whether a send to an unknown topic creates it."),
    key("autoCreateSubscriptionGroup", Rule::Switch, "true")
        .live("auto_create_group")
        .important()
        .about("Whether an unknown consumer group is created at its first use."),
    key("longPollingEnable", Rule::Switch, "true")
        .live("long_polling")
        .about("Whether an empty pull is held for as long as the client asks."),
    key("shortPollingTimeMills", Rule::AtMost(0, 60_000), "1000")
        .ms()
        .live("short_polling_ms")
        .about("How long an empty pull is held otherwise."),
    key("notifyConsumerIdsChangedEnable", Rule::Switch, "true")
        .live("notify_ids_changed")
        .about("Whether members of a consumer group are told when it changes."),
    key("startAcceptSendRequestTimeStamp", Rule::Number(0, i64::MAX), "0")
        .ms()
        .live("accept_sends_from")
        .about("Milliseconds since 1970 before which sends are refused."),
    key("enablePropertyFilter", Rule::Switch, "false")
        .live("property_filter")
        .about("Whether consumers may filter by properties, in SQL92."),
    key("filterSupportRetry", Rule::Switch, "false")
        .live("filter_retry")
        .about("Whether messages that are tried again are filtered again, by what the group filters their topic by."),
    key("filterDataCleanTimeSpan", Rule::Number(0, i64::MAX), "86400000")
        .ms()
        .live("filter_lifetime_ms")
        .about("How long the SQL92 filter of a group that is gone is kept."),
    key("storeReplyMessageEnable", Rule::Switch, "true")
        .live("store_replies")
        .about("Whether replies between clients are stored besides being passed on."),
    key("traceOn", Rule::Switch, "true").live("trace_on").about("Whether clients are told that tracing is allowed."),
    key("rejectTransactionMessage", Rule::Switch, "false")
        .live("reject_transactions")
        .important()
        .about("Whether half messages are refused (code 16)."),
    key("transactionTimeOut", Rule::AtMost(0, 604_800_000), "6000")
        .ms()
        .live("transaction_timeout_ms")
        .important()
        .about("Age before which nobody is asked for the outcome of a half message."),
    key("transactionCheckMax", Rule::AtMost(1, 1_000_000), "15")
        .live("transaction_check_max")
        .important()
        .about("Questions after which a half message is given up and kept in `TRANS_CHECK_MAX_TIME_TOPIC`."),
    key("transactionCheckInterval", Rule::AtMost(100, 86_400_000), "60000")
        .ms()
        .live("transaction_check_interval_ms")
        .important()
        .about("Time between two rounds of questions; a change counts from the next round on."),
];
