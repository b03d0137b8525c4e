//! Messages with a time of their own: they wait in the wheel topic, as in 5.x, and are stored anew when due.
//!
//! A send with `TIMER_DELAY_SEC`, `TIMER_DELAY_MS` or `TIMER_DELIVER_MS` is stored in the wheel topic, its real place and
//! its time kept as properties. `work` reads that topic into the store's [`Timers`] and delivers; `find` lists and cancels.

mod find;
mod work;

use kerolox_store::timers::{TimerEntry, TimerKind, Timers};
use kerolox_wire::names::{QueueId, TopicName, topics};
use kerolox_wire::properties::{self, timer};
use kerolox_wire::record::Record;
use kerolox_wire::response::ResponseCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::node::Node;
use crate::refusal::Refusal;
use crate::send::Target;
use crate::topic::{Perm, Topic};
pub use find::PendingTimer;
use work::Work;

/// Longest time that a record waits before it is stored anew, ms.
const WINDOW_MAX_MS: i64 = 48 * 3_600_000;

/// What belongs to timed messages.
pub(crate) struct TimerRoom {
    pub(crate) timers: Timers,
    /// Held while timed messages are read or delivered.
    work: Mutex<Work>,
    /// A timed message was stored.
    pub(crate) arrived: Notify,
    /// There is something to write.
    full: Notify,
}

impl TimerRoom {
    pub(crate) fn new(timers: Timers) -> Self {
        Self { timers, work: Mutex::default(), arrived: Notify::new(), full: Notify::new() }
    }
}

/// How long a record may wait before it is stored anew, so that it is never as old as the files that retention deletes.
pub(crate) fn window_ms(reserved: std::time::Duration) -> i64 {
    let half = i64::try_from(reserved.as_millis() / 2).unwrap_or(i64::MAX);
    half.clamp(2_000, WINDOW_MAX_MS)
}

/// The wheel topic and its one queue.
fn wheel() -> (TopicName, QueueId) {
    (TopicName::known(topics::TIMER), QueueId::new(0))
}

impl Node {
    /// Sends a message that has a time of its own to the wheel topic; `text` is what its sender said.
    pub(crate) fn timed_if_asked(&self, target: Target, text: &str) -> Result<Target, Refusal> {
        // A message that was delivered at its time keeps these properties; resending it must not delay it again.
        if properties::find(text, timer::OUT_MS).is_some() {
            return Ok(target);
        }
        let now_ms = self.clock.wall_ms();
        let cancels = properties::find(text, timer::DEL_UNIQKEY);
        let Some(due_ms) = due_asked(text, now_ms)? else {
            return match cancels {
                None => Ok(target),
                Some(_) => Err(illegal(format!("{} needs the time of the message it takes back", timer::DEL_UNIQKEY))),
            };
        };
        if !self.config.timers {
            let why = "accurate timer message is not enabled, timerWheelEnable is false; the message was not stored";
            return Err(Refusal::error(why));
        }
        if due_ms <= now_ms {
            return match cancels {
                None => Ok(target),
                Some(_) => {
                    Err(illegal(format!("a cancellation needs a time to come: {due_ms} is past, now is {now_ms}")))
                }
            };
        }
        let (delay, limit) = (due_ms.saturating_sub(now_ms), self.config.timer_max_delay_ms);
        if delay > limit {
            return Err(illegal(format!(
                "it asks for a delay of {delay} ms, {limit} ms are allowed (timerMaxDelaySec)"
            )));
        }
        if let Some(key) = cancels
            && key.split_once('+').is_some_and(|(topic, _)| topic != target.topic.as_str())
        {
            return Err(illegal(format!("{key:?} is a message of another topic than {}", target.topic)));
        }
        let (topic, queue_id) = wheel();
        let made = self.topics.ensure(Topic::new(topic.clone(), 1, Perm::READ_WRITE), now_ms)?;
        if made.new {
            self.topics_changed();
        }
        let properties = properties::with(
            &target.properties,
            &[
                (timer::OUT_MS, &due_ms.to_string()),
                (properties::REAL_TOPIC, target.topic.as_str()),
                (properties::REAL_QID, &target.queue_id.to_string()),
            ],
        );
        Ok(Target { topic, queue_id, properties })
    }
}

/// Refuses a time of its own for one message of a batch: all of them are stored together, now.
pub(crate) fn refuse_in_batch(text: &str) -> Result<(), Refusal> {
    if text.contains(timer::PREFIX) && due_asked(text, 0)?.is_some() && properties::find(text, timer::OUT_MS).is_none()
    {
        return Err(illegal("the messages of a batch cannot have a time of their own; send them one by one"));
    }
    Ok(())
}

/// When a text asks to be delivered, ms since 1970.
fn due_asked(text: &str, now_ms: i64) -> Result<Option<i64>, Refusal> {
    let number = |name: &str, value: &str| {
        value.parse::<i64>().map_err(|_| illegal(format!("{name} is {value:?}, which is no whole number")))
    };
    for (name, unit_ms) in [(timer::DELAY_SEC, 1000), (timer::DELAY_MS, 1)] {
        if let Some(value) = properties::find(text, name) {
            return Ok(Some(now_ms.saturating_add(number(name, value)?.saturating_mul(unit_ms))));
        }
    }
    properties::find(text, timer::DELIVER_MS).map(|value| number(timer::DELIVER_MS, value)).transpose()
}

fn illegal(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(ResponseCode::MESSAGE_ILLEGAL, format!("timer message illegal, {why}"))
}

/// A record of the wheel topic as a timer.
struct Timed<'a> {
    record: &'a Record<'a>,
    /// When it is to be delivered, ms since 1970.
    due_ms: i64,
    real_topic: &'a str,
    kind: TimerKind,
    /// Joins a cancellation to its message.
    key: String,
}

impl<'a> Timed<'a> {
    /// Reads what the record says; otherwise why it is no timer.
    fn of(record: &'a Record<'a>) -> Result<Self, String> {
        let text = record.properties();
        let out = properties::find(text, timer::OUT_MS).ok_or("it lacks TIMER_OUT_MS")?;
        let due_ms = out.parse().map_err(|_| format!("TIMER_OUT_MS is {out:?}"))?;
        let real_topic = properties::find(text, properties::REAL_TOPIC).ok_or("it lacks REAL_TOPIC")?;
        let cancels = properties::find(text, timer::DEL_UNIQKEY);
        let key = match cancels {
            Some(key) if key.contains('+') => key.to_owned(),
            Some(key) => format!("{real_topic}+{key}"),
            None => format!("{real_topic}+{}", properties::find(text, properties::UNIQ_KEY).unwrap_or("")),
        };
        let kind = if cancels.is_some() { TimerKind::Cancel } else { TimerKind::Message };
        Ok(Self { record, due_ms, real_topic, kind, key })
    }

    /// When it is to be looked at: at its time, or when its record is to be stored anew. Those of one time spread over
    /// half a window, so that they do not all come back at once.
    fn entry(&self, window_ms: i64) -> TimerEntry {
        let (key_hash, half) = (hash(&self.key), (window_ms / 2).max(1));
        let spread = i64::try_from(key_hash % half.unsigned_abs()).unwrap_or(0);
        let roll_ms = self.record.store_timestamp().saturating_add(half).saturating_add(spread);
        let log_offset = self.record.log_offset().get();
        TimerEntry { wake_ms: self.due_ms.min(roll_ms), kind: self.kind, log_offset, key_hash }
    }

    /// The unique key of the message that is meant.
    fn unique_key(&self) -> &str {
        self.key.split_once('+').map_or("", |(_, key)| key)
    }
}

/// FNV-1a: the same in every version, since files keep it. What it joins is compared as text afterwards.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pairs: &[(&str, &str)]) -> String {
        properties::with("", pairs)
    }

    #[test]
    fn seconds_win_over_milliseconds_and_those_over_a_time() {
        let all = [(timer::DELIVER_MS, "9"), (timer::DELAY_MS, "5"), (timer::DELAY_SEC, "2")];
        assert_eq!(due_asked(&text(&all), 1_000), Ok(Some(3_000)));
        assert_eq!(due_asked(&text(&all[..2]), 1_000), Ok(Some(1_005)));
        assert_eq!(due_asked(&text(&all[..1]), 1_000), Ok(Some(9)));
        assert_eq!(due_asked("", 1_000), Ok(None));
        assert_eq!(due_asked(&text(&[(timer::DELAY_SEC, "9223372036854775807")]), 1_000), Ok(Some(i64::MAX)));
        assert_eq!(due_asked(&text(&[(timer::DELAY_MS, "-9223372036854775808")]), -5), Ok(Some(i64::MIN)));
    }

    #[test]
    fn what_is_no_whole_number_is_refused_with_its_name_and_value() {
        for name in [timer::DELAY_SEC, timer::DELAY_MS, timer::DELIVER_MS] {
            for value in ["x", " 5", "1.5", "9223372036854775808", "٣"] {
                let refusal = due_asked(&text(&[(name, value)]), 0).unwrap_err();
                assert_eq!(refusal.code, ResponseCode::MESSAGE_ILLEGAL);
                assert!(refusal.remark.contains(name) && refusal.remark.contains(value), "{}", refusal.remark);
            }
        }
    }

    #[test]
    fn records_are_stored_anew_before_retention_takes_their_file() {
        let hours = |n: u64| std::time::Duration::from_secs(n * 3600);
        assert_eq!(window_ms(hours(72)), 36 * 3_600_000);
        assert_eq!(window_ms(hours(1)), 1_800_000);
        assert_eq!(window_ms(hours(900_000)), WINDOW_MAX_MS);
    }
}
