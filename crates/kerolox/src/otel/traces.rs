//! Spans of a broker as OTLP spans. Attributes have the names of OpenTelemetry's conventions for messaging.

use std::time::Duration;

use kerolox_broker::Span;
use kerolox_wire::clock::Clock;

use crate::clock::wall_nanos;

use super::proto::{self, ERROR, KeyValue, Link, RECORDED, REMOTE, SERVER, Status};

/// How often the clocks are read to find a close pair.
const PAIRS_MAX: u32 = 5;

/// One moment by both clocks: nanoseconds since 1970, and the time that spans are measured in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: u64,
    pub(super) elapsed: Duration,
}

impl Moment {
    /// Now. The clocks are read one after the other, and a thread may be put aside in between: the closest pair counts.
    pub(super) fn now(clock: &dyn Clock) -> Self {
        let pair = || {
            let before = clock.elapsed();
            let wall = wall_nanos();
            (clock.elapsed().saturating_sub(before), Self { wall, elapsed: before })
        };
        let pairs = (0..PAIRS_MAX).map(|_| pair());
        let closest = pairs.min_by_key(|(apart, _)| *apart);
        closest.map_or(Self { wall: 0, elapsed: Duration::ZERO }, |(_, moment)| moment)
    }

    /// Nanoseconds since 1970 of a moment before this one.
    fn wall_of(self, elapsed: Duration) -> u64 {
        let ago = u64::try_from(self.elapsed.saturating_sub(elapsed).as_nanos()).unwrap_or(u64::MAX);
        self.wall.saturating_sub(ago)
    }
}

/// The span as it is sent.
pub(super) fn of(span: Span, now: Moment) -> proto::Span {
    let start = now.wall_of(span.began);
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    proto::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        name: format!("{} {}", span.what, span.topic),
        kind: SERVER,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(took),
        attributes: attributes(&span),
        links: span
            .links
            .iter()
            .map(|link| Link { trace_id: link.trace.to_vec(), span_id: link.span.to_vec(), flags: RECORDED | REMOTE })
            .collect(),
        status: (span.code != 0).then_some(Status { message: span.remark, code: ERROR }),
        flags: if span.parent.is_some() { RECORDED | REMOTE } else { RECORDED },
    }
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut all = vec![
        KeyValue::text("messaging.system", "rocketmq"),
        KeyValue::text("messaging.operation.name", span.what),
        KeyValue::text("messaging.destination.name", span.topic.as_str()),
        KeyValue::text("messaging.rocketmq.client_group", span.group.as_str()),
        KeyValue::text("client.address", span.client.ip().to_string()),
        KeyValue::number("client.port", span.client.port().into()),
        KeyValue::number("messaging.batch.message_count", count(span.messages)),
        KeyValue::number("messaging.message.body.size", count(span.bytes)),
        KeyValue::number("rocketmq.response.code", span.code.into()),
    ];
    all.extend(span.queue.map(|queue| KeyValue::text("messaging.destination.partition.id", queue.to_string())));
    all.extend(span.offset.map(|offset| KeyValue::number("rocketmq.queue.offset", offset)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_spans_are_told_by_the_wall_clock() {
        let now = Moment { wall: 10_000_000_000, elapsed: Duration::from_secs(7) };
        assert_eq!(now.wall_of(Duration::from_secs(5)), 8_000_000_000);
        assert_eq!(now.wall_of(Duration::from_secs(8)), now.wall);
        let long_ago = Moment { wall: 1, ..now };
        assert_eq!(long_ago.wall_of(Duration::ZERO), 0);
    }
}
