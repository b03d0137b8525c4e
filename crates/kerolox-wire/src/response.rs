//! Response codes: one table, numbers never reused.

use std::fmt;

/// Outcome of a request, by its number on the wire; unknown numbers pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub i32);

macro_rules! response_codes {
    ($($(#[doc = $doc:literal])* $number:literal $name:ident;)*) => {
        impl ResponseCode {
            $($(#[doc = $doc])* pub const $name: Self = Self($number);)*

            /// Every code of the table with its name and what it says.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self($number), stringify!($name), concat!($($doc),*))),*];
        }
    };
}

response_codes! {
    /// Done.
    0 SUCCESS;
    /// Failed for the reason in the remark; Java producers try another broker.
    1 SYSTEM_ERROR;
    /// Refused for now by flow control.
    2 SYSTEM_BUSY;
    /// The server does not know the request.
    3 REQUEST_CODE_NOT_SUPPORTED;
    /// A transaction could not be carried out.
    4 TRANSACTION_FAILED;
    /// Stored, but not known to be on disk in time.
    10 FLUSH_DISK_TIMEOUT;
    /// Stored, but no replica could take it; also the answer of a replica that is asked to write.
    11 SLAVE_NOT_AVAILABLE;
    /// Stored, but not known to be replicated in time.
    12 FLUSH_SLAVE_TIMEOUT;
    /// The message breaks a rule or a limit.
    13 MESSAGE_ILLEGAL;
    /// The store takes no messages now: shut down, a replica, or the disk is full.
    14 SERVICE_NOT_AVAILABLE;
    /// The peer's version cannot do this.
    15 VERSION_NOT_SUPPORTED;
    /// Not allowed by permission.
    16 NO_PERMISSION;
    /// The topic is unknown here.
    17 TOPIC_NOT_EXIST;
    /// The topic is there already.
    18 TOPIC_EXIST_ALREADY;
    /// No message at that place yet.
    19 PULL_NOT_FOUND;
    /// Nothing matched the subscription; pull on at once.
    20 PULL_RETRY_IMMEDIATELY;
    /// The asked place is outside the queue; pull on at the given one.
    21 PULL_OFFSET_MOVED;
    /// Nothing was found.
    22 QUERY_NOT_FOUND;
    /// The subscription expression cannot be parsed.
    23 SUBSCRIPTION_PARSE_FAILED;
    /// The group has not subscribed to this.
    24 SUBSCRIPTION_NOT_EXIST;
    /// The broker knows an older subscription than the client.
    25 SUBSCRIPTION_NOT_LATEST;
    /// The group is unknown here and not created by itself.
    26 SUBSCRIPTION_GROUP_NOT_EXIST;
    /// No compiled filter for the group.
    27 FILTER_DATA_NOT_EXIST;
    /// The compiled filter is older than the client's.
    28 FILTER_DATA_NOT_LATEST;
    /// A transaction should be committed.
    200 TRANSACTION_SHOULD_COMMIT;
    /// A transaction should be rolled back.
    201 TRANSACTION_SHOULD_ROLLBACK;
    /// A transaction's state is unknown.
    202 TRANSACTION_STATE_UNKNOW;
    /// A transaction belongs to another group.
    203 TRANSACTION_STATE_GROUP_WRONG;
    /// No buyer id.
    204 NO_BUYER_ID;
    /// Not in this unit.
    205 NOT_IN_CURRENT_UNIT;
    /// No consumer of the group is connected.
    206 CONSUMER_NOT_ONLINE;
    /// A consumer did not answer in time.
    207 CONSUME_MSG_TIMEOUT;
    /// There is no such message.
    208 NO_MESSAGE;
    /// An access account could not be changed.
    209 UPDATE_AND_CREATE_ACL_CONFIG_FAILED;
    /// An access account could not be deleted.
    210 DELETE_ACL_CONFIG_FAILED;
    /// The address white list could not be changed.
    211 UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED;
}

impl ResponseCode {
    /// The name in the table.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(code, ..)| *code == self).map(|(_, name, _)| *name)
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name().unwrap_or("UNKNOWN"))
    }
}
