//! Why a call did not bring an answer.

use kerolox_net::CallError;
use kerolox_wire::command::HeaderError;
use kerolox_wire::names::NameError;
use kerolox_wire::response::ResponseCode;

/// Why a call did not bring the answer that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No name server address was given.
    #[error("no name server address is known")]
    NoNameServer,
    /// The node could not be reached or did not answer in time.
    #[error("{address}: {source}")]
    Unanswered {
        /// The node that was asked.
        address: String,
        /// What happened on the way.
        source: CallError,
    },
    /// The node answered with another code than success.
    #[error("CODE: {}  DESC: {remark} (answered by {address})", code.0)]
    Refused {
        /// The node that was asked.
        address: String,
        /// Its answer.
        code: ResponseCode,
        /// Its sentence, which may be empty.
        remark: String,
    },
    /// All nodes answered, but what was looked for is not there; the code is the one that Java tools report then.
    #[error("CODE: {}  DESC: {what}", code.0)]
    Absent {
        /// Code of the case.
        code: ResponseCode,
        /// What was looked for.
        what: String,
    },
    /// No broker is known for the purpose.
    #[error("no broker: {why}")]
    NoBroker {
        /// Which was looked for.
        why: String,
    },
    /// The answer cannot be read.
    #[error("{address} sent an answer to {request} that cannot be read: {why}")]
    Malformed {
        /// The node that was asked.
        address: String,
        /// The request.
        request: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A header of the answer lacks a field.
    #[error("{address} sent an answer to {request} that cannot be read: {source}")]
    Header {
        /// The node that was asked.
        address: String,
        /// The request.
        request: &'static str,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A topic or group name breaks the rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A message id cannot be read.
    #[error("[{id}] is not a message id: {why}")]
    MessageId {
        /// The text given.
        id: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// The response code, where the failure has one.
    #[must_use]
    pub const fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Refused { code, .. } | Self::Absent { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the failure has this code.
    #[must_use]
    pub fn is(&self, code: ResponseCode) -> bool {
        self.code() == Some(code)
    }
}
