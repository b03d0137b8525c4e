//! Topics of this broker: what one is, and the table of all of them.

mod on_disk;
mod system;
mod table;

use std::sync::Arc;

use kerolox_wire::body::{TopicConfig, TopicFilterType};
use kerolox_wire::names::{GroupName, NameError, TopicName};

pub(crate) use self::on_disk::topics_with_messages;
pub(crate) use self::system::TopicRules;
pub(crate) use self::table::Topics;

/// With this many topics only an administrator makes more; a sender of random names must not fill the memory.
pub(crate) const TOPICS_AUTOMATIC_MAX: usize = 50_000;
/// Most queues of one topic that an administrator may ask for.
pub(crate) const TOPIC_QUEUES_MAX: u32 = 65_536;

/// `topicSysFlag` of a topic whose messages belong to a unit.
const UNIT: i32 = 1;
/// `topicSysFlag` of a retry topic whose group subscribes in a unit.
const UNIT_SUB: i32 = 2;

/// What a topic allows, as the protocol's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Perm(i32);

impl Perm {
    /// New topics may be made after this one.
    pub(crate) const INHERIT: Self = Self(1);
    /// Senders may write.
    pub(crate) const WRITE: Self = Self(2);
    /// Consumers may read.
    pub(crate) const READ: Self = Self(4);
    /// What nearly every topic has.
    pub(crate) const READ_WRITE: Self = Self(6);
    /// What templates of new topics have.
    pub(crate) const TEMPLATE: Self = Self(7);
    /// All bits that mean something.
    const KNOWN: i32 = 15;

    /// Takes bits from the wire; `None` when some of them mean nothing.
    #[must_use]
    pub(crate) fn from_wire(bits: i32) -> Option<Self> {
        (0..=Self::KNOWN).contains(&bits).then_some(Self(bits))
    }

    /// The protocol's number.
    #[must_use]
    pub(crate) const fn get(self) -> i32 {
        self.0
    }

    /// Whether consumers may read.
    #[must_use]
    pub(crate) const fn readable(self) -> bool {
        self.0 & Self::READ.0 != 0
    }

    /// Whether senders may write.
    #[must_use]
    pub(crate) const fn writable(self) -> bool {
        self.0 & Self::WRITE.0 != 0
    }

    /// Whether new topics may be made after this one.
    #[must_use]
    pub(crate) const fn inherited(self) -> bool {
        self.0 & Self::INHERIT.0 != 0
    }

    const fn without_inherit(self) -> Self {
        Self(self.0 & !Self::INHERIT.0)
    }
}

/// Whether a topic's messages have one tag or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum FilterType {
    /// `SINGLE_TAG`
    #[default]
    SingleTag,
    /// `MULTI_TAG`
    MultiTag,
}

impl FilterType {
    /// The protocol's name.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SingleTag => "SINGLE_TAG",
            Self::MultiTag => "MULTI_TAG",
        }
    }

    /// The type of that name.
    #[must_use]
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::SingleTag, Self::MultiTag].into_iter().find(|kind| kind.as_str() == name)
    }

    const fn to_wire(self) -> TopicFilterType {
        match self {
            Self::SingleTag => TopicFilterType::SingleTag,
            Self::MultiTag => TopicFilterType::MultiTag,
        }
    }

    const fn from_wire(kind: TopicFilterType) -> Self {
        match kind {
            TopicFilterType::MultiTag => Self::MultiTag,
            TopicFilterType::SingleTag | TopicFilterType::Unset => Self::SingleTag,
        }
    }
}

/// One topic on this broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: TopicName,
    /// Queues that consumers read.
    pub(crate) read_queues: u32,
    /// Queues that senders write.
    pub(crate) write_queues: u32,
    /// What it allows.
    pub(crate) perm: Perm,
    /// One tag or several.
    pub(crate) filter_type: FilterType,
    /// Unit bits.
    pub(crate) sys_flag: i32,
    /// Listed as ordered at the name server.
    pub(crate) order: bool,
}

impl Topic {
    /// A topic with as many queues to read as to write.
    #[must_use]
    pub(crate) const fn new(name: TopicName, queues: u32, perm: Perm) -> Self {
        Self {
            name,
            read_queues: queues,
            write_queues: queues,
            perm,
            filter_type: FilterType::SingleTag,
            sys_flag: 0,
            order: false,
        }
    }

    /// The retry topic of `group`, as heartbeats and send-backs make it.
    ///
    /// # Errors
    /// When the group's name is too long for a topic.
    pub(crate) fn retry_of(group: &GroupName, queues: u32) -> Result<Self, NameError> {
        Ok(Self::new(TopicName::retry_of(group)?, queues, Perm::READ_WRITE))
    }

    /// The same topic for a group that subscribes in a unit.
    #[must_use]
    pub(crate) fn subscribed_in_unit(self) -> Self {
        Self { sys_flag: self.sys_flag | UNIT_SUB, ..self }
    }

    /// The dead letter topic of `group`: written only, until an administrator opens it.
    ///
    /// # Errors
    /// When the group's name is too long for a topic.
    pub(crate) fn dlq_of(group: &GroupName) -> Result<Self, NameError> {
        Ok(Self::new(TopicName::dlq_of(group)?, 1, Perm::WRITE))
    }

    pub(crate) fn to_config(&self, perm: Perm) -> TopicConfig {
        TopicConfig {
            topic_name: self.name.to_string(),
            read_queue_nums: self.read_queues.cast_signed(),
            write_queue_nums: self.write_queues.cast_signed(),
            perm: perm.get(),
            topic_filter_type: self.filter_type.to_wire(),
            topic_sys_flag: self.sys_flag,
            order: self.order,
            ..TopicConfig::default()
        }
    }

    fn from_config(name: TopicName, config: &TopicConfig) -> Self {
        Self {
            name,
            read_queues: u32::try_from(config.read_queue_nums).unwrap_or(0),
            write_queues: u32::try_from(config.write_queue_nums).unwrap_or(0),
            perm: Perm(config.perm),
            filter_type: FilterType::from_wire(config.topic_filter_type),
            sys_flag: config.topic_sys_flag,
            order: config.order,
        }
    }
}

/// A sender's wish for a topic that is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TopicByProducer<'a> {
    /// The topic it sends to.
    pub(crate) topic: &'a TopicName,
    /// The topic to make it after (header `defaultTopic`).
    pub(crate) template: &'a str,
    /// The queues it asks for (header `defaultTopicQueueNums`).
    pub(crate) queues: i32,
    /// Whether it sends in a unit.
    pub(crate) unit_mode: bool,
}

/// A topic that was there or has just been made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The topic.
    pub(crate) topic: Arc<Topic>,
    /// It has just been made: save the table and announce it.
    pub(crate) new: bool,
}

/// Why a topic is not made, changed or deleted; its text is the remark for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TopicError {
    /// No name for a new topic.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A topic of the system is neither made nor deleted by request.
    #[error("The topic[{0}] is conflict with system topic.")]
    System(TopicName),
    /// Sending does not make this topic.
    #[error("topic[{topic}] not exist, apply first please!")]
    NotExist {
        /// The topic sent to.
        topic: TopicName,
        /// Why it is not made.
        why: NotMade,
    },
    /// There are too many topics to make another one by itself.
    #[error("topic[{topic}] not exist, apply first please! With {limit} topics only an administrator creates more.")]
    TooMany {
        /// The topic sent to.
        topic: TopicName,
        /// [`TOPICS_AUTOMATIC_MAX`]
        limit: usize,
    },
    /// More queues than a topic may have.
    #[error("topic[{topic}] cannot have {queues} queues, the most is {limit}.")]
    TooManyQueues {
        /// The topic.
        topic: TopicName,
        /// Queues asked for.
        queues: u32,
        /// [`TOPIC_QUEUES_MAX`]
        limit: u32,
    },
}

/// Why sending does not make a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NotMade {
    /// The setting for it is off.
    #[error("autoCreateTopicEnable is false")]
    SwitchedOff,
    /// The template is no topic here.
    #[error("the default topic[{0}] not exist")]
    NoTemplate(String),
    /// The template lacks the inherit bit.
    #[error("the default topic[{0}] has no perm [{1}]")]
    NotInherited(String, i32),
}
