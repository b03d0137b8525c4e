//! Commands about who is connected.

use kerolox_wire::body::Connection;
use kerolox_wire::names::GroupName;

use serde_json::{Value, json};

use super::command::{Command, Target, must};
use super::failure::Failure;
use super::name;
use super::options::Given;
use super::session::Session;
use super::text::{or_null, version};

pub(super) const PRODUCER_CONNECTION: Command = Command {
    name: "producerConnection",
    about: "Show the connected producers of a group",
    options: &[must('g', "producerGroup", "producer group"), must('t', "topic", "a topic it sends to")],
    target: Target::Free,
    shows: true,
    example: "-g order-service -t orders",
    run: |s, g| Box::pin(producer_connection(s, g)),
};

pub(super) const CONSUMER_CONNECTION: Command = Command {
    name: "consumerConnection",
    about: "Show the connected consumers of a group and their subscriptions",
    options: &[must('g', "consumerGroup", "consumer group")],
    target: Target::Free,
    shows: true,
    example: "-g billing",
    run: |s, g| Box::pin(consumer_connection(s, g)),
};

async fn producer_connection(s: &Session, given: &Given) -> Result<(), Failure> {
    let connections = s.client.producer_connection(given.required('g')?, given.required('t')?).await?;
    for (i, connection) in connections.connection_set.iter().enumerate() {
        s.out.line(format_args!("{:04}  {}", i + 1, line(connection)));
    }
    s.out.json(connections.connection_set.iter().map(object).collect::<Vec<_>>());
    Ok(())
}

async fn consumer_connection(s: &Session, given: &Given) -> Result<(), Failure> {
    let group: GroupName = name(given, 'g', GroupName::parse)?;
    let found = s.client.consumer_connection(&group).await?;
    for (i, connection) in found.connection_set.iter().enumerate() {
        s.out.line(format_args!("{:03}  {}", i + 1, line(connection)));
    }
    s.out.lines("\nBelow is subscription:");
    for (i, subscription) in found.subscription_table.values().enumerate() {
        s.out.line(format_args!(
            "{:03}  Topic: {:<40} SubExpression: {}",
            i + 1,
            subscription.topic,
            subscription.sub_string
        ));
    }
    s.out.line("");
    s.out.line(format_args!("ConsumeType: {}", or_null(found.consume_type.name())));
    s.out.line(format_args!("MessageModel: {}", or_null(found.message_model.name())));
    s.out.line(format_args!("ConsumeFromWhere: {}", or_null(found.consume_from_where.name())));
    let subscriptions = found.subscription_table.values();
    let subscriptions = subscriptions.map(|sub| json!({"topic": sub.topic, "subExpression": sub.sub_string}));
    s.out.json(json!({
        "connections": found.connection_set.iter().map(object).collect::<Vec<_>>(),
        "subscriptions": subscriptions.collect::<Vec<_>>(),
        "consumeType": found.consume_type.name(),
        "messageModel": found.message_model.name(),
        "consumeFromWhere": found.consume_from_where.name(),
    }));
    Ok(())
}

fn object(connection: &Connection) -> Value {
    json!({
        "clientId": connection.client_id,
        "clientAddr": connection.client_addr,
        "language": connection.language.to_string(),
        "version": version(connection.version),
    })
}

fn line(connection: &Connection) -> String {
    format!(
        "{:<32} {:<22} {:<8} {}",
        connection.client_id,
        connection.client_addr,
        connection.language,
        version(connection.version)
    )
}
