//! Which messages of a topic a group wants.

use std::collections::BTreeSet;

use kerolox_wire::body::{EXPRESSION_TAG, SubscriptionData};
use kerolox_wire::names::{NameError, TopicName};
use kerolox_wire::tags::java_hash;

/// The expression that wants everything.
const ALL: &str = "*";
/// Longest expression that a pull may bring, bytes: it is kept while the pull waits.
const EXPRESSION_SIZE_MAX: usize = 64 * 1024;
/// Between the tags of an expression.
const OR: &str = "||";

/// Why an expression is no subscription; the texts are the reference's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SubscriptionError {
    /// Separators and nothing else.
    #[error("subString split error")]
    OnlySeparators,
    /// Longer than a pull may bring.
    #[error("the expression has {len} bytes, {EXPRESSION_SIZE_MAX} are allowed")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// A language other than tags needs an expression.
    #[error("Expression can't be null! {kind}")]
    Empty {
        /// The language.
        kind: String,
    },
}

/// Which tags a subscription wants, as far as queue units can tell: by their hashes. Consumers compare the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagFilter {
    /// Every message.
    All,
    /// Messages whose tag has one of these hashes, sorted.
    Codes(Box<[i32]>),
}

impl TagFilter {
    fn of(codes: impl IntoIterator<Item = i32>) -> Self {
        let codes: BTreeSet<i32> = codes.into_iter().collect();
        Self::Codes(codes.into_iter().collect())
    }

    /// Whether a queue unit's code passes; only its low 32 bits are the hash.
    #[must_use]
    pub(crate) fn matches(&self, tags_code: i64) -> bool {
        match self {
            Self::All => true,
            Self::Codes(codes) => codes.binary_search(&(tags_code as i32)).is_ok(),
        }
    }
}

/// What a group wants of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The topic.
    pub(crate) topic: TopicName,
    /// When it was made; the later one holds.
    pub(crate) version: i64,
    /// The tags it wants; [`TagFilter::All`] when it is not about tags.
    pub(crate) tags: TagFilter,
    body: SubscriptionData,
}

impl Subscription {
    /// What a heartbeat says.
    ///
    /// # Errors
    /// When the topic's name is not legal.
    pub(super) fn from_body(body: &SubscriptionData) -> Result<Self, NameError> {
        let topic = TopicName::parse(&body.topic)?;
        let expression = body.sub_string.trim();
        let everything = !is_tag(&body.expression_type) || body.class_filter_mode;
        let tags = if everything || expression.is_empty() || expression == ALL {
            TagFilter::All
        } else if body.code_set.is_empty() {
            // Some clients leave the hashes out.
            TagFilter::of(tags_in(expression).map(java_hash))
        } else {
            TagFilter::of(body.code_set.iter().copied())
        };
        Ok(Self { topic, version: body.sub_version, tags, body: body.clone() })
    }

    /// What a pull says that brings its own subscription.
    ///
    /// # Errors
    /// When the expression means nothing.
    pub(crate) fn parse(
        topic: &TopicName,
        expression: Option<&str>,
        kind: Option<&str>,
        version: i64,
    ) -> Result<Self, SubscriptionError> {
        let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or(EXPRESSION_TAG);
        let expression = expression.unwrap_or_default();
        let len = expression.len().max(kind.len());
        if len > EXPRESSION_SIZE_MAX {
            return Err(SubscriptionError::TooLong { len });
        }
        let mut body = SubscriptionData {
            expression_type: kind.to_owned(),
            sub_string: expression.to_owned(),
            sub_version: version,
            topic: topic.to_string(),
            ..SubscriptionData::default()
        };
        let tags = if !is_tag(kind) {
            if expression.is_empty() {
                return Err(SubscriptionError::Empty { kind: kind.to_owned() });
            }
            TagFilter::All
        } else if expression.is_empty() || expression == ALL {
            ALL.clone_into(&mut body.sub_string);
            TagFilter::All
        } else {
            if expression.split(OR).all(str::is_empty) {
                return Err(SubscriptionError::OnlySeparators);
            }
            body.tags_set = tags_in(expression).map(str::to_owned).collect();
            body.code_set = tags_in(expression).map(java_hash).collect();
            TagFilter::of(body.code_set.iter().copied())
        };
        Ok(Self { topic: topic.clone(), version, tags, body })
    }

    /// Bytes that it takes, roughly.
    pub(super) fn size(&self) -> usize {
        let body = &self.body;
        let tags: usize = body.tags_set.iter().map(|tag| size_of::<String>() + tag.len()).sum();
        let texts = 2 * body.topic.len() + body.sub_string.len() + body.expression_type.len();
        size_of::<Self>() + texts + tags + 2 * size_of::<i32>() * body.code_set.len()
    }

    /// Whether it is about tags and not in another language.
    #[must_use]
    pub(crate) fn is_tag(&self) -> bool {
        is_tag(&self.body.expression_type)
    }

    /// The language it is in.
    #[must_use]
    pub(crate) fn language(&self) -> &str {
        &self.body.expression_type
    }

    /// The text of its expression.
    #[must_use]
    pub(crate) fn expression(&self) -> &str {
        &self.body.sub_string
    }

    /// The subscription as the protocol has it.
    #[must_use]
    pub(crate) fn to_body(&self) -> SubscriptionData {
        self.body.clone()
    }
}

fn is_tag(kind: &str) -> bool {
    kind.is_empty() || kind == EXPRESSION_TAG
}

fn tags_in(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(OR).map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicName {
        TopicName::parse("t").unwrap()
    }

    fn code(tag: &str) -> i64 {
        java_hash(tag).into()
    }

    #[test]
    fn expressions_of_tags_match_by_hash() {
        for (expression, tag, wanted) in [
            (None, "a", true),
            (Some(""), "a", true),
            (Some("*"), "a", true),
            (Some("a"), "a", true),
            (Some("a"), "b", false),
            (Some(" a || b "), "b", true),
            (Some("a||||b"), "b", true),
            (Some("a || b"), "a || b", false),
            (Some(" || "), "a", false),
            (Some("|"), "|", true),
        ] {
            let subscription = Subscription::parse(&topic(), expression, None, 0).unwrap();
            assert_eq!(subscription.tags.matches(code(tag)), wanted, "{expression:?} {tag}");
            assert!(subscription.is_tag());
        }
    }

    #[test]
    fn an_expression_of_any_length_is_not_kept() {
        let parse = |len: usize, kind: &str| Subscription::parse(&topic(), Some(&"x".repeat(len)), Some(kind), 0);
        assert!(parse(EXPRESSION_SIZE_MAX, "TAG").is_ok());
        for kind in ["TAG", "SQL92"] {
            let len = EXPRESSION_SIZE_MAX + 1;
            assert_eq!(parse(len, kind), Err(SubscriptionError::TooLong { len }));
        }
    }

    #[test]
    fn only_the_low_32_bits_of_a_unit_code_count() {
        let tags = TagFilter::of([java_hash("polygenelubricants"), 5]);
        for (tags_code, matches) in [(5, true), (5 + (7 << 32), true), (i64::from(i32::MIN), true), (6, false)] {
            assert_eq!(tags.matches(tags_code), matches, "{tags_code}");
        }
    }

    #[test]
    fn expressions_that_mean_nothing_are_refused_in_the_words_of_the_reference() {
        for (expression, kind, remark) in [
            (Some("||"), Some("TAG"), "subString split error"),
            (Some("||||"), None, "subString split error"),
            (None, Some("SQL92"), "Expression can't be null! SQL92"),
        ] {
            let error = Subscription::parse(&topic(), expression, kind, 0).unwrap_err();
            assert_eq!(error.to_string(), remark);
        }
        assert!(!Subscription::parse(&topic(), Some("a > 5"), Some("SQL92"), 0).unwrap().is_tag());
    }

    #[test]
    fn a_heartbeat_brings_hashes_or_leaves_them_out() {
        let body = |text: &str, codes: &[i32]| SubscriptionData {
            sub_string: text.to_owned(),
            code_set: codes.iter().copied().collect(),
            topic: "t".to_owned(),
            ..SubscriptionData::default()
        };
        for (text, codes, tag, wanted) in [
            ("a", vec![java_hash("a")], "a", true),
            ("a", vec![java_hash("b")], "a", false),
            ("a || b", vec![], "b", true),
            ("a", vec![], "b", false),
            ("*", vec![], "b", true),
            ("", vec![], "b", true),
        ] {
            let subscription = Subscription::from_body(&body(text, &codes)).unwrap();
            assert_eq!(subscription.tags.matches(code(tag)), wanted, "{text} {codes:?} {tag}");
        }
    }
}
