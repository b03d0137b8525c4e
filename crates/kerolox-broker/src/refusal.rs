//! Error answers: the whole map from what can go wrong here to response codes.

use kerolox_store::{AppendError, RefusedRecord};
use kerolox_wire::command::HeaderError;
use kerolox_wire::names::NameError;
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

/// An error answer to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What clients decide by.
    pub(crate) code: ResponseCode,
    /// What people read.
    pub(crate) remark: String,
}

/// Where Java's answers point people to; some of its tests compare whole remarks.
const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

impl Refusal {
    /// Any code with its reason.
    pub(crate) fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    /// Something is wrong with the request or here; Java producers try elsewhere.
    pub(crate) fn error(remark: impl Into<String>) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// Not allowed by permission.
    pub(crate) fn no_permission(remark: impl Into<String>) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, remark)
    }

    /// The broker does not know the topic.
    pub(crate) fn topic_not_exist(topic: &str) -> Self {
        Self::new(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist, apply first please!{FAQ}"))
    }

    /// The request is not served here.
    pub(crate) fn not_supported(code: i32) -> Self {
        Self::new(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, format!(" request type {code} not supported"))
    }

    /// A body that cannot be read.
    pub(crate) fn bad_body(what: &str, why: impl std::fmt::Display) -> Self {
        Self::error(format!("the body is not a {what}: {why}"))
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::refuse(refusal.code, refusal.remark)
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::error(error.to_string())
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::error(error.to_string())
    }
}

impl From<RefusedRecord> for Refusal {
    fn from(refused: RefusedRecord) -> Self {
        Self::new(ResponseCode::MESSAGE_ILLEGAL, format!("the message is illegal: {refused}"))
    }
}

impl From<&AppendError> for Refusal {
    fn from(error: &AppendError) -> Self {
        let code = match error {
            AppendError::TooLarge { .. } => ResponseCode::MESSAGE_ILLEGAL,
            _ => ResponseCode::SERVICE_NOT_AVAILABLE,
        };
        Self::new(code, format!("service not available now: {error}"))
    }
}

impl From<crate::topic::TopicError> for Refusal {
    fn from(error: crate::topic::TopicError) -> Self {
        use crate::topic::TopicError;
        let code = match &error {
            TopicError::NotExist { .. } | TopicError::TooMany { .. } => ResponseCode::TOPIC_NOT_EXIST,
            _ => ResponseCode::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<crate::group::GroupError> for Refusal {
    fn from(error: crate::group::GroupError) -> Self {
        use crate::group::GroupError;
        let code = match &error {
            GroupError::NotExist { .. } | GroupError::TooMany { .. } => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            _ => ResponseCode::SYSTEM_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

impl From<crate::offset::OffsetError> for Refusal {
    fn from(error: crate::offset::OffsetError) -> Self {
        Self::error(error.to_string())
    }
}
