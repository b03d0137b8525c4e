//! How far groups are behind in time.

use kerolox_wire::body::{ConsumeTimeSpans, QueueTimeSpan};
use kerolox_wire::command::admin::TopicAndGroup;
use kerolox_wire::command::call;
use kerolox_wire::names::{GroupName, TopicName};

use crate::client::LONG_CALL_TIMEOUT;
use crate::{Client, ClientError};

impl Client {
    /// Between which store times a group still has to consume a topic's queues at one broker.
    ///
    /// # Errors
    /// When the broker does not answer or does not know the topic.
    pub async fn time_spans(
        &self,
        broker: &str,
        group: &GroupName,
        topic: &TopicName,
    ) -> Result<Vec<QueueTimeSpan>, ClientError> {
        let request = TopicAndGroup { topic: topic.clone(), group: group.clone() };
        let spans: ConsumeTimeSpans =
            self.read::<call::QueryConsumeTimeSpan, _>(broker, &request, LONG_CALL_TIMEOUT).await?;
        Ok(spans.consume_time_span_set)
    }
}
