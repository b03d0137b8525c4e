//! Whether the members of a consumer group subscribe to the same: if they do not, the group reads by whichever
//! heartbeat came last, and messages go to members that do not want them.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use kerolox_wire::body::{ConsumerData, EXPRESSION_TAG, SubscriptionData};

use super::OnlineGroup;

/// Most topics that a description of a difference names.
const TOPICS_TOLD_MAX: usize = 5;
/// Most characters of an expression in it.
const EXPRESSION_TOLD_MAX: usize = 100;

/// How many members want the same, by what they want.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    members: BTreeMap<u64, usize>,
}

impl Agreement {
    /// A member wants `now` and wanted `before`; true when that is a change and the group does not agree after it.
    pub(super) fn wants(&mut self, before: Option<u64>, now: u64) -> bool {
        if before == Some(now) {
            return false;
        }
        if let Some(before) = before {
            self.forget(before);
        }
        *self.members.entry(now).or_default() += 1;
        !self.is_full()
    }

    /// A member that wanted `before` has left.
    pub(super) fn forget(&mut self, before: u64) {
        if let Some(count) = self.members.get_mut(&before) {
            *count -= 1;
            if *count == 0 {
                self.members.remove(&before);
            }
        }
    }

    /// Whether all want the same.
    pub(super) fn is_full(&self) -> bool {
        self.members.len() <= 1
    }
}

/// What a member wants, as a number: the same for the same topics and expressions in any order. Versions differ from
/// client to client and do not count.
pub(super) fn wanted_by(data: &ConsumerData) -> u64 {
    let mut wanted: Vec<(&str, &str, Vec<&str>)> =
        data.subscription_data_set.iter().map(|data| (data.topic.as_str(), language(data), parts(data))).collect();
    wanted.sort_unstable();
    let mut hasher = DefaultHasher::new();
    (data.message_model, data.consume_type, wanted).hash(&mut hasher);
    hasher.finish()
}

/// How a member's wishes differ from those of the group so far.
pub(super) fn difference(group: &OnlineGroup, data: &ConsumerData) -> String {
    let mut text = String::new();
    let mut count = 0_usize;
    let mut tell = |topic: &str, what: std::fmt::Arguments<'_>| {
        count += 1;
        if count <= TOPICS_TOLD_MAX {
            let separator = if count > 1 { ", " } else { "" };
            // Writing into a String cannot fail.
            let _ = write!(text, "{separator}topic {topic} {what}");
        }
    };
    for wanted in &data.subscription_data_set {
        match group.subscriptions.get(wanted.topic.as_str()).map(|known| known.to_body()) {
            None => tell(&wanted.topic, format_args!("that the others do not subscribe to")),
            Some(known) if language(&known) != language(wanted) || parts(&known) != parts(wanted) => tell(
                &wanted.topic,
                format_args!("by {:?} and not by {:?}", short(&wanted.sub_string), short(&known.sub_string)),
            ),
            Some(_) => {}
        }
    }
    let wanted: HashSet<&str> = data.subscription_data_set.iter().map(|wanted| wanted.topic.as_str()).collect();
    for topic in group.subscriptions.keys() {
        if !wanted.contains(topic.as_str()) {
            tell(topic.as_str(), format_args!("not at all, which the others do"));
        }
    }
    match count {
        0 if group.message_model != data.message_model => {
            format!("consumes {:?} and not {:?}", data.message_model, group.message_model)
        }
        0 if group.consume_type != data.consume_type => {
            format!("consumes {:?} and not {:?}", data.consume_type, group.consume_type)
        }
        0 => "subscribes as the latest heartbeat does, unlike other members".to_owned(),
        _ if count > TOPICS_TOLD_MAX => format!("subscribes to {text} and {} more", count - TOPICS_TOLD_MAX),
        _ => format!("subscribes to {text}"),
    }
}

fn language(data: &SubscriptionData) -> &str {
    if data.expression_type.is_empty() { EXPRESSION_TAG } else { &data.expression_type }
}

/// The tags of an expression in order, or the expression of another language as it is.
fn parts(data: &SubscriptionData) -> Vec<&str> {
    if language(data) != EXPRESSION_TAG {
        return vec![&data.sub_string];
    }
    let mut tags: Vec<&str> = data.sub_string.split("||").map(str::trim).filter(|tag| !tag.is_empty()).collect();
    tags.sort_unstable();
    tags.dedup();
    if tags.is_empty() { vec!["*"] } else { tags }
}

fn short(expression: &str) -> &str {
    expression.char_indices().nth(EXPRESSION_TOLD_MAX).map_or(expression, |(end, _)| &expression[..end])
}
