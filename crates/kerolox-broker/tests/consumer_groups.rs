//! Consumer groups: namespaces, which clients put before names with a `%`; where new groups begin; members that disagree.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use kerolox_wire::body::{KvTable, from_json};
use kerolox_wire::command::offset::{OffsetResult, QueryConsumerOffset, UpdateConsumerOffset};
use kerolox_wire::command::send::SendBack;
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::response::ResponseCode;

const TOPIC: &str = "MQ_INST_1%orders";
const GROUP: &str = "MQ_INST_1%g";

#[tokio::test]
async fn names_with_a_namespace_are_names_like_others() {
    let node = Setup::new().start().await;
    let client = node.client();
    client.send(&message_with(TOPIC, 0, &[("INSTANCE_ID", "MQ_INST_1"), ("TAGS", "a")]), "m").await;
    let first = client.read(TOPIC, 0, 0, 1).await.remove(0);
    assert_eq!(first.property("INSTANCE_ID"), Some("MQ_INST_1"));
    ok(&client.heartbeat("c1", vec![consumer(GROUP, &[(TOPIC, "a", 1)])]).await);
    let by_group = kerolox_wire::command::pull::PullMessage { sys_flag: 0, ..pull(GROUP, TOPIC, 0, 0) };
    assert_eq!(bodies(&messages_of(&client.pull(&by_group).await)), ["m"]);

    let update =
        UpdateConsumerOffset { consumer_group: group(GROUP), topic: topic(TOPIC), queue_id: 0, commit_offset: 1 };
    ok(&client.ask::<call::UpdateConsumerOffset>(&update, "").await);
    let query = QueryConsumerOffset { consumer_group: group(GROUP), topic: topic(TOPIC), queue_id: 0 };
    assert_eq!(header::<OffsetResult>(&client.ask::<call::QueryConsumerOffset>(&query, "").await).offset, 1);

    let back = SendBack { delay_level: 1, origin_topic: Some(TOPIC.to_owned()), ..back(GROUP, first.log_offset) };
    ok(&client.ask::<call::SendBack>(&back, "").await);
    let again = client.read("%RETRY%MQ_INST_1%g", 0, 0, 1).await.remove(0);
    assert_eq!((again.property("RETRY_TOPIC"), again.reconsume_times), (Some(TOPIC), 1));
    let dead = SendBack { delay_level: -1, ..back };
    ok(&client.ask::<call::SendBack>(&dead, "").await);
    let unreadable = client.pull(&pull("reader", "%DLQ%MQ_INST_1%g", 0, 0)).await;
    refused(&unreadable, ResponseCode::NO_PERMISSION, "%DLQ%MQ_INST_1%g");
    node.stop().await;
}

async fn runtime(client: &Client) -> KvTable {
    from_json(&client.ask::<call::GetRuntimeInfo>(&NoFields {}, "").await.body).unwrap()
}

#[tokio::test]
async fn members_that_disagree_are_seen_in_the_figures() {
    let node = Setup::new().start().await;
    let (one, two) = (node.client(), node.client());
    ok(&one.heartbeat("c1", vec![consumer("g", &[("orders", "a", 1)])]).await);
    assert_eq!(runtime(&one).await.table["subscriptionMismatchGroups"], "0");
    ok(&two.heartbeat("c2", vec![consumer("g", &[("orders", "b", 2)])]).await);
    let figures = runtime(&one).await.table;
    assert_eq!(figures["subscriptionMismatchGroups"], "1");
    assert_eq!(figures["subscriptionMismatchFound"], "1");
    assert_eq!(figures["subscriptionMismatch_g"], "client c2 subscribes to topic orders by \"b\" and not by \"a\"");
    ok(&two.heartbeat("c2", vec![consumer("g", &[("orders", "a", 3)])]).await);
    let figures = runtime(&one).await.table;
    assert_eq!((figures["subscriptionMismatchGroups"].as_str(), figures.get("subscriptionMismatch_g")), ("0", None));
    node.stop().await;
}

#[tokio::test]
async fn a_new_group_begins_where_its_clients_say_once_the_first_message_is_old() {
    let mut setup = Setup::new();
    // Nothing counts as being in memory, as in a queue whose beginning was written long ago.
    setup.store.memory_bytes = 0;
    let node = setup.start().await;
    let client = node.client();
    client.send(&message("orders", 0), "m").await;
    client.send(&message("orders", 0), "n").await;
    client.read("orders", 0, 0, 2).await;
    let query = |queue_id| QueryConsumerOffset { consumer_group: group("new"), topic: topic("orders"), queue_id };
    let old = client.ask::<call::QueryConsumerOffset>(&query(0), "").await;
    refused(&old, ResponseCode::QUERY_NOT_FOUND, "maybe this group consumer boot first");
    let empty = client.ask::<call::QueryConsumerOffset>(&query(1), "").await;
    assert_eq!(header::<OffsetResult>(&empty).offset, 0, "no message could be missed there");
    node.stop().await;
}
