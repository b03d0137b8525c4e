//! Values in the words of the Java tool, which scripts look for: `TopicConfig [topicName=…, …]`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use kerolox_client::{Message, MessageQueue, Sent, Track};
use kerolox_wire::body::{ConsumeDirectlyResult, SubscriptionGroupConfig, TopicConfig};
use kerolox_wire::properties::{MAX_OFFSET, MIN_OFFSET, Properties, TRAN_MSG};

/// First version number of the regular part of the list: `V4_0_0_SNAPSHOT`.
const VERSION_4_0_0_SNAPSHOT: i32 = 212;
/// Any version after `V5_9_9`.
const VERSION_HIGHER: i32 = 612;

/// The name of a version number: every release has two, its snapshot's and its own.
pub(super) fn version(number: i32) -> String {
    if number >= VERSION_HIGHER {
        return "HIGHER_VERSION".to_owned();
    }
    if number < VERSION_4_0_0_SNAPSHOT {
        return format!("V3({number})");
    }
    let steps = number - VERSION_4_0_0_SNAPSHOT;
    let release = steps / 2;
    let snapshot = if steps % 2 == 0 { "_SNAPSHOT" } else { "" };
    format!("V{}_{}_{}{snapshot}", 4 + release / 100, release / 10 % 10, release % 10)
}

/// `RW-` for 6, with an X at the end for inherit.
pub(super) fn perm(perm: i32) -> String {
    let bit = |mask: i32, letter: char| if perm & mask == 0 { '-' } else { letter };
    [bit(4, 'R'), bit(2, 'W'), bit(1, 'X')].iter().collect()
}

/// A topic's settings.
pub(super) fn topic_config(topic: &TopicConfig) -> String {
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, \
         topicSysFlag={}, order={}]",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        perm(topic.perm),
        or_null(topic.topic_filter_type.name()),
        topic.topic_sys_flag,
        topic.order
    )
}

/// A group's settings.
pub(super) fn group_config(group: &SubscriptionGroupConfig) -> String {
    format!(
        "SubscriptionGroupConfig [groupName={}, consumeEnable={}, consumeFromMinEnable={}, \
         consumeBroadcastEnable={}, retryQueueNums={}, retryMaxTimes={}, brokerId={}, \
         whichBrokerWhenConsumeSlowly={}, notifyConsumerIdsChangedEnable={}]",
        group.group_name,
        group.consume_enable,
        group.consume_from_min_enable,
        group.consume_broadcast_enable,
        group.retry_queue_nums,
        group.retry_max_times,
        group.broker_id,
        group.which_broker_when_consume_slowly,
        group.notify_consumer_ids_changed_enable
    )
}

/// A queue.
pub(super) fn queue(queue: &MessageQueue) -> String {
    format!("MessageQueue [topic={}, brokerName={}, queueId={}]", queue.topic, queue.broker_name, queue.queue_id)
}

/// Where a message was stored.
pub(super) fn sent(sent: &Sent) -> String {
    format!(
        "SendResult [sendStatus={}, msgId={}, offsetMsgId={}, messageQueue={}, queueOffset={}]",
        sent.status.name(),
        sent.id,
        sent.offset_id,
        queue(&sent.queue),
        sent.queue_offset
    )
}

/// What became of a message in a group.
pub(super) fn track(track: &Track) -> String {
    format!(
        "MessageTrack [consumerGroup={}, trackType={}, exceptionDesc={}]",
        track.group,
        track.kind.name(),
        or_null(track.why.as_deref())
    )
}

/// What a consumer said after it was made to consume one message.
pub(super) fn consumed_directly(result: &ConsumeDirectlyResult) -> String {
    format!(
        "ConsumeMessageDirectlyResult [order={}, autoCommit={}, consumeResult={}, remark={}, spentTimeMills={}]",
        result.order,
        result.auto_commit,
        or_null(result.consume_result.name()),
        or_null(result.remark.as_deref()),
        result.spent_time_mills
    )
}

/// A message with everything it has.
pub(super) fn message(message: &Message) -> String {
    let transactional = message.properties.get(TRAN_MSG) == Some("true");
    let transaction_id = message.unique_key().filter(|_| transactional);
    let bytes: Vec<String> = message.body.iter().map(|byte| byte.cast_signed().to_string()).collect();
    format!(
        "MessageExt [brokerName={}, queueId={}, storeSize={}, queueOffset={}, sysFlag={}, bornTimestamp={}, \
         bornHost={}, storeTimestamp={}, storeHost={}, msgId={}, commitLogOffset={}, bodyCRC={}, reconsumeTimes={}, \
         preparedTransactionOffset={}, toString()=Message{{topic='{}', flag={}, properties={}, body=[{}], \
         transactionId='{}'}}]",
        or_null(message.broker_name.as_deref()),
        message.queue_id.to_wire(),
        message.store_size,
        message.queue_offset,
        message.sys_flag,
        message.born_timestamp,
        java_address(message.born_host),
        message.store_timestamp,
        java_address(message.store_host),
        message.offset_id(),
        message.log_offset,
        message.body_crc,
        message.reconsume_times,
        message.prepared_transaction_offset,
        message.topic,
        message.flag,
        properties(&message.properties),
        bytes.join(", "),
        or_null(transaction_id)
    )
}

/// Properties as a Java map prints them; the two that the reader added come first.
pub(super) fn properties(properties: &Properties) -> String {
    let added = |name: &str| name == MIN_OFFSET || name == MAX_OFFSET;
    let first = properties.iter().filter(|(name, _)| added(name));
    let rest = properties.iter().filter(|(name, _)| !added(name));
    let mut text = "{".to_owned();
    for (i, (name, value)) in first.chain(rest).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{name}={value}");
    }
    text.push('}');
    text
}

/// Java writes `null` where there is nothing.
pub(super) fn or_null(text: Option<&str>) -> &str {
    text.unwrap_or("null")
}

/// Java writes a socket address with a slash before it.
fn java_address(address: SocketAddr) -> String {
    format!("/{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_have_names() {
        for (number, name) in [
            (355, "V4_7_1"),
            (213, "V4_0_0"),
            (232, "V4_1_0_SNAPSHOT"),
            (317, "V4_5_2"),
            (413, "V5_0_0"),
            (479, "V5_3_3"),
            (611, "V5_9_9"),
            (612, "HIGHER_VERSION"),
            (9999, "HIGHER_VERSION"),
            (28, "V3(28)"),
        ] {
            assert_eq!(version(number), name);
        }
    }

    #[test]
    fn permissions_are_three_letters() {
        assert_eq!(perm(6), "RW-");
        assert_eq!(perm(4), "R--");
        assert_eq!(perm(2), "-W-");
        assert_eq!(perm(7), "RWX");
    }

    #[test]
    fn properties_print_as_a_map_with_the_readers_own_first() {
        let mut map = Properties::new();
        map.set("KEYS", "k");
        map.set(MIN_OFFSET, "0");
        map.set(MAX_OFFSET, "3");
        assert_eq!(properties(&map), "{MIN_OFFSET=0, MAX_OFFSET=3, KEYS=k}");
        assert_eq!(properties(&Properties::new()), "{}");
    }
}
