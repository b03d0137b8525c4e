//! Who belongs to the cluster, and what several calls have in common.

use axum::http::StatusCode;
use futures_util::{Stream, StreamExt, stream};
use kerolox_client::{Client, ClientError};
use kerolox_wire::names::{DLQ_PREFIX, RETRY_PREFIX, topics};
use serde::Serialize;

use crate::error::Failure;

/// Calls under way at one moment for one request of a page.
const PARALLEL_MAX: usize = 16;

/// One broker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Node {
    /// Its cluster.
    pub(crate) cluster: String,
    /// Its name, which a primary shares with its replicas.
    pub(crate) name: String,
    /// 0 for a primary.
    pub(crate) id: i64,
    /// Where it is reached.
    pub(crate) address: String,
}

/// All brokers, by name and id.
pub(crate) async fn nodes(client: &Client) -> Result<Vec<Node>, ClientError> {
    let info = client.cluster_info().await?;
    let of = |cluster: &str, name: &str| {
        info.broker_addr_table
            .get(name)
            .into_iter()
            .flat_map(move |broker| {
                broker.broker_addrs.iter().map(|(id, address)| (*id, address.clone())).collect::<Vec<_>>()
            })
            .map(|(id, address)| Node { cluster: cluster.to_owned(), name: name.to_owned(), id, address })
            .collect::<Vec<_>>()
    };
    let mut nodes: Vec<Node> = Vec::new();
    for (cluster, names) in &info.cluster_addr_table {
        nodes.extend(names.iter().flat_map(|name| of(cluster, name)));
    }
    nodes.sort_by(|a, b| (&a.cluster, &a.name, a.id).cmp(&(&b.cluster, &b.name, b.id)));
    Ok(nodes)
}

/// All primaries.
pub(crate) async fn masters(client: &Client) -> Result<Vec<Node>, Failure> {
    masters_of(&nodes(client).await?)
}

/// The primaries among those; that there is none will pass, so a page asks again.
pub(crate) fn masters_of(nodes: &[Node]) -> Result<Vec<Node>, Failure> {
    let masters: Vec<Node> = nodes.iter().filter(|node| node.id == 0).cloned().collect();
    if masters.is_empty() {
        let sentence = "no broker: no primary is registered at the name server";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, sentence));
    }
    Ok(masters)
}

/// Makes a call for each item, several at once, and keeps the order.
pub(crate) async fn in_parallel<T, F: Future>(items: Vec<T>, call: impl Fn(T) -> F) -> Vec<F::Output> {
    started(items, call).collect().await
}

fn started<T, F: Future>(items: Vec<T>, call: impl Fn(T) -> F) -> impl Stream<Item = F::Output> {
    stream::iter(items).map(call).buffered(PARALLEL_MAX)
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Messages of applications.
    Normal,
    /// Messages of a group to be tried again.
    Retry,
    /// Messages of a group that nobody could consume.
    Dead,
    /// The system's own.
    System,
}

/// Tells by the name; names of clusters and brokers, which are topics too, are left to the caller.
pub(crate) fn kind(topic: &str) -> Kind {
    if topic.starts_with(RETRY_PREFIX) {
        Kind::Retry
    } else if topic.starts_with(DLQ_PREFIX) {
        Kind::Dead
    } else if topics::SYSTEM.contains(&topic)
        || topic.starts_with(topics::SYSTEM_PREFIX)
        || topic.ends_with("_REPLY_TOPIC")
    {
        Kind::System
    } else {
        Kind::Normal
    }
}

/// One page of a list, and how long the list is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    /// Entries that match.
    pub(crate) total: usize,
    /// Number of this page, from 1.
    pub(crate) page: usize,
    /// Entries of a page.
    pub(crate) page_size: usize,
    /// The entries.
    pub(crate) items: Vec<T>,
}

/// Most entries of a page.
const PAGE_SIZE_MAX: usize = 100;
/// Entries of a page unless more are asked for.
const PAGE_SIZE: usize = 25;

/// Cuts a page out of a list; a page behind the last is the last.
pub(crate) fn page_of<T>(all: Vec<T>, page: Option<usize>, size: Option<usize>) -> Page<T> {
    let page_size = size.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE_MAX);
    let total = all.len();
    let page = page.unwrap_or(1).clamp(1, total.div_ceil(page_size).max(1));
    let items = all.into_iter().skip((page - 1) * page_size).take(page_size).collect();
    Page { total, page, page_size, items }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_with_the_last() {
        let page = page_of((0..51).collect(), Some(9), None);
        assert_eq!((page.total, page.page, page.items), (51, 3, vec![50]));
        let page = page_of(Vec::<u8>::new(), Some(0), Some(usize::MAX));
        assert_eq!((page.total, page.page, page.page_size), (0, 1, PAGE_SIZE_MAX));
    }

    #[test]
    fn kinds_are_told_by_names() {
        for (name, expected) in [
            ("orders", Kind::Normal),
            ("%RETRY%g", Kind::Retry),
            ("%DLQ%g", Kind::Dead),
            ("TBW102", Kind::System),
            ("rmq_sys_x", Kind::System),
            ("DefaultCluster_REPLY_TOPIC", Kind::System),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
