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

    /// The disk failed; the same request may succeed later.
    pub(crate) fn read_failed(error: &std::io::Error) -> Self {
        Self::error(format!("{error}; try again"))
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
        if let TopicError::NotExist { topic, why } = &error {
            let remark =
                format!("topic[{topic}] not exist, apply first please! Sending does not create it: {why}.{FAQ}");
            return Self::new(ResponseCode::TOPIC_NOT_EXIST, remark);
        }
        let code = match &error {
            TopicError::TooMany { .. } => ResponseCode::TOPIC_NOT_EXIST,
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

#[cfg(test)]
mod tests {
    use kerolox_wire::names::{GroupName, TopicName};

    use super::*;
    use crate::group::GroupError;
    use crate::topic::{NotMade, TopicError};

    #[test]
    fn clients_decide_by_these_codes() {
        let topic = TopicName::parse("t").unwrap();
        let group = GroupName::parse("g").unwrap();
        let why = NotMade::NoTemplate("d".to_owned());
        for (refusal, code) in [
            (Refusal::from(&AppendError::Sealed { why: "w".to_owned() }), ResponseCode::SERVICE_NOT_AVAILABLE),
            (Refusal::from(&AppendError::DiskFull { used: 95, limit: 90 }), ResponseCode::SERVICE_NOT_AVAILABLE),
            (Refusal::from(&AppendError::ShutDown), ResponseCode::SERVICE_NOT_AVAILABLE),
            (Refusal::from(&AppendError::TooLarge { size: 9, limit: 8 }), ResponseCode::MESSAGE_ILLEGAL),
            (Refusal::from(RefusedRecord::Empty), ResponseCode::MESSAGE_ILLEGAL),
            (Refusal::from(RefusedRecord::TooLarge { size: 9, limit: 8 }), ResponseCode::MESSAGE_ILLEGAL),
            (Refusal::from(TopicError::System(topic.clone())), ResponseCode::SYSTEM_ERROR),
            (Refusal::from(TopicError::NotExist { topic: topic.clone(), why }), ResponseCode::TOPIC_NOT_EXIST),
            (Refusal::from(TopicError::TooMany { topic, limit: 1 }), ResponseCode::TOPIC_NOT_EXIST),
            (Refusal::from(GroupError::NotExist(group.clone())), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST),
            (Refusal::from(GroupError::TooMany { group, limit: 1 }), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST),
            (Refusal::from(HeaderError::Missing { field: "f" }), ResponseCode::SYSTEM_ERROR),
            (Refusal::topic_not_exist("t"), ResponseCode::TOPIC_NOT_EXIST),
            (Refusal::not_supported(7), ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
        ] {
            assert_eq!(refusal.code, code, "{}", refusal.remark);
            assert!(!refusal.remark.is_empty());
        }
    }

    #[test]
    fn remarks_carry_the_facts() {
        let full = Refusal::from(&AppendError::DiskFull { used: 95, limit: 90 });
        assert_eq!(full.remark, "service not available now: the disk is full: 95 % are used, 90 % are allowed");
        let large = Refusal::from(RefusedRecord::TooLarge { size: 9, limit: 8 });
        assert_eq!(large.remark, "the message is illegal: the record has 9 bytes, 8 are allowed");
        let reply = Reply::from(Refusal::bad_body("heartbeat", "x"));
        assert_eq!(reply.remark.as_deref(), Some("the body is not a heartbeat: x"));
    }

    #[test]
    fn a_missing_topic_is_told_in_the_same_words_on_every_path_and_sends_hear_why() {
        let why = NotMade::SwitchedOff;
        let by_send = Refusal::from(TopicError::NotExist { topic: TopicName::parse("t").unwrap(), why });
        let by_pull = Refusal::topic_not_exist("t");
        for refusal in [&by_send, &by_pull] {
            assert!(refusal.remark.starts_with("topic[t] not exist, apply first please!"), "{refusal:?}");
            assert!(refusal.remark.ends_with(FAQ), "{refusal:?}");
        }
        assert!(by_send.remark.contains("autoCreateTopicEnable is false"), "{by_send:?}");
    }
}
