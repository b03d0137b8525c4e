//! Spans: what the broker did for messages whose way somebody follows, for an export to OpenTelemetry.
//!
//! A message is followed when it has the property `traceparent`, in which instrumented clients send the context of W3C,
//! and that says that its trace is recorded. Where there is no such property a chosen share of requests begins a trace of
//! its own. Spans wait in a bounded list until they are taken; when nobody takes them they are dropped and counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kerolox_wire::command::pull::PullMessage;
use kerolox_wire::command::send::SendMessage;
use kerolox_wire::frame::Frame;
use kerolox_wire::names::{GROUP_NAME_MAX, TopicName};
use kerolox_wire::properties;
use kerolox_wire::record::{BatchItems, BodyCheck, Record};
use kerolox_wire::response::ResponseCode;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::node::Node;

/// The property in which a message carries its context.
const TRACEPARENT: &str = "traceparent";
/// Most spans that wait to be taken.
const WAITING_MAX: usize = 4_096;
/// So many that they should be taken soon.
const FILLED: usize = WAITING_MAX / 4;
/// Most bytes that one keeps of a remark.
const REMARK_SIZE_MAX: usize = 1_024;
/// Most other spans that one refers to.
const LINKS_MAX: usize = 32;

/// The place of a span in a trace, as `traceparent` tells it (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Id of the trace, not all zero.
    pub trace: [u8; 16],
    /// Id of the span, not all zero.
    pub span: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads `00-TRACE-SPAN-FLAGS`; what a later version adds behind that is passed over, as W3C asks.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex::<1>(parts.next()?)?;
        let (trace, span, flags) = (hex(parts.next()?)?, hex(parts.next()?)?, hex::<1>(parts.next()?)?);
        let known = version == [0] && parts.next().is_none() || version != [0] && version != [0xff];
        let valid = known && trace != [0; 16] && span != [0; 8];
        valid.then_some(Self { trace, span, sampled: flags[0] & 1 == 1 })
    }
}

/// The start of a text, at most so many bytes.
fn start_of(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Exactly so many bytes in small hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// What the broker did for one request.
#[derive(Debug, Clone)]
pub struct Span {
    /// Id of the trace.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The span of the client that it belongs to; none begins a trace.
    pub parent: Option<[u8; 8]>,
    /// Spans of clients, where it is about messages of several.
    pub links: Vec<TraceContext>,
    /// `send` or `pull`.
    pub what: &'static str,
    /// Topic of the request.
    pub topic: TopicName,
    /// Group of the producer or the consumer.
    pub group: String,
    /// Who asked.
    pub client: SocketAddr,
    /// Queue of the messages.
    pub queue: Option<u32>,
    /// Offset of the first message in that queue.
    pub offset: Option<i64>,
    /// Messages stored or brought.
    pub messages: usize,
    /// Bytes of their bodies as sent, or of their records as brought.
    pub bytes: usize,
    /// When it began, by the clock that the broker was started with.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// Code of the answer; 0 is success.
    pub code: i32,
    /// What the answer says where that is no success.
    pub remark: String,
}

/// Spans that wait to be taken.
#[derive(Debug)]
pub struct Spans {
    share: f64,
    waiting: Mutex<Vec<Span>>,
    filled: Notify,
    ended: AtomicU64,
    dropped: AtomicU64,
}

impl Spans {
    /// None yet. Of the requests about messages that nobody follows, a `share` from 0 to 1 begins a trace.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self {
            share,
            waiting: Mutex::default(),
            filled: Notify::new(),
            ended: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// All that wait.
    #[must_use]
    pub fn take(&self) -> Vec<Span> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Returns when so many wait that they should be taken soon.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Counts spans that were taken and did not arrive where they should.
    pub fn lost(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many there were, and how many of these were dropped.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.ended.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    fn put(&self, span: Span) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push(span);
        if waiting.len() == FILLED {
            self.filled.notify_one();
        }
    }

    /// Whether a request that nobody follows begins a trace.
    fn chosen(&self, random: u64) -> bool {
        // Exact at both ends: below 0 is nothing, and everything is below 1.
        ((random >> 11) as f64) < self.share * (1_u64 << 53) as f64
    }
}

/// Contexts of the messages of one request.
#[derive(Debug, Default)]
struct Followed {
    /// Whether there is any, recorded or not.
    any: bool,
    /// Those that are recorded, each once.
    recorded: SmallVec<[TraceContext; 1]>,
}

impl Followed {
    fn look_at(&mut self, text: &str) {
        let Some(context) = properties::find(text, TRACEPARENT).and_then(TraceContext::parse) else { return };
        self.any = true;
        let new = || self.recorded.len() < LINKS_MAX && !self.recorded.contains(&context);
        if context.sampled && new() {
            self.recorded.push(context);
        }
    }
}

impl Node {
    /// Begins the span of a send, when there is to be one.
    pub(crate) fn span_of_send(&self, client: SocketAddr, frame: &Frame, header: &SendMessage) -> Option<Box<Span>> {
        self.config.spans.as_ref()?;
        let mut followed = Followed::default();
        followed.look_at(header.properties.as_deref().unwrap_or_default());
        if header.batch {
            for item in BatchItems::new(&frame.body).map_while(Result::ok) {
                followed.look_at(item.properties);
            }
        }
        let mut span = self.begin_span("send", &header.topic, client, self.now(), &followed)?;
        start_of(&header.producer_group, GROUP_NAME_MAX).clone_into(&mut span.group);
        span.bytes = frame.body.len();
        Some(span)
    }

    /// Makes the span of a pull that brought these `records`, when there is to be one.
    pub(crate) fn span_of_pull(
        &self,
        client: SocketAddr,
        began: Duration,
        pull: &PullMessage,
        records: &[u8],
        messages: usize,
    ) {
        if self.config.spans.is_none() {
            return;
        }
        let mut followed = Followed::default();
        let mut rest = records;
        while let Ok(record) = Record::parse(rest, BodyCheck::Skip) {
            followed.look_at(record.properties());
            rest = rest.get(record.total_size() as usize..).unwrap_or_default();
        }
        let Some(mut span) = self.begin_span("pull", &pull.topic, client, began, &followed) else { return };
        pull.consumer_group.as_str().clone_into(&mut span.group);
        span.queue = u32::try_from(pull.queue_id).ok();
        span.offset = Some(pull.queue_offset);
        span.messages = messages;
        span.bytes = records.len();
        self.end_span(*span, ResponseCode::SUCCESS, None);
    }

    /// Ends a span with what was answered.
    pub(crate) fn end_span(&self, mut span: Span, code: ResponseCode, remark: Option<&str>) {
        let Some(spans) = &self.config.spans else { return };
        span.took = self.now().saturating_sub(span.began);
        span.code = code.0;
        if code != ResponseCode::SUCCESS {
            start_of(remark.unwrap_or_default(), REMARK_SIZE_MAX).clone_into(&mut span.remark);
        }
        spans.put(span);
    }

    /// One context is the parent of what is done for it; of several each is linked to.
    fn begin_span(
        &self,
        what: &'static str,
        topic: &TopicName,
        client: SocketAddr,
        began: Duration,
        followed: &Followed,
    ) -> Option<Box<Span>> {
        let spans = self.config.spans.as_ref()?;
        let root = followed.recorded.is_empty();
        if root && (followed.any || !spans.chosen(self.random())) {
            return None;
        }
        let (trace, parent, links) = match followed.recorded.as_slice() {
            [one] => (one.trace, Some(one.span), Vec::new()),
            many => (self.random_id(), None, many.to_vec()),
        };
        Some(Box::new(Span {
            trace,
            id: self.random_id(),
            parent,
            links,
            what,
            topic: topic.clone(),
            group: String::new(),
            client,
            queue: None,
            offset: None,
            messages: 0,
            bytes: 0,
            began,
            took: Duration::ZERO,
            code: 0,
            remark: String::new(),
        }))
    }

    /// Random bytes that are not all zero.
    fn random_id<const N: usize>(&self) -> [u8; N] {
        let mut id = [0; N];
        for part in id.chunks_mut(8) {
            let random = self.random().max(1).to_be_bytes();
            part.copy_from_slice(random.get(..part.len()).unwrap_or_default());
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn contexts_are_read_as_w3c_writes_them() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!((context.trace[0], context.trace[15], context.span[7]), (0x0a, 0x9c, 0x31));
        assert!(context.sampled && !TraceContext::parse(&GOOD.replace("-01", "-02")).unwrap().sampled);
        assert_eq!(TraceContext::parse(&GOOD.replace("00-", "cc-")), Some(context));
        assert_eq!(TraceContext::parse(&GOOD.replace("00-0af", "cc-0af").replace("-01", "-01-more")), Some(context));
    }

    #[test]
    fn what_is_no_context_is_none() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203\u{e4}1-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn shares_are_exact_at_their_ends() {
        for (share, random, chosen) in [
            (0.0, 0, false),
            (1.0, u64::MAX, true),
            (0.5, u64::MAX / 2 - 2048, true),
            (0.5, u64::MAX / 2 + 2048, false),
        ] {
            assert_eq!(Spans::new(share).chosen(random), chosen, "{share} {random}");
        }
    }

    #[test]
    fn contexts_are_collected_once_and_within_a_limit() {
        let mut followed = Followed::default();
        let text = |context: &str| format!("TAGS\u{1}a\u{2}traceparent\u{1}{context}\u{2}");
        followed.look_at("TAGS\u{1}a");
        assert!(!followed.any);
        followed.look_at(&text(&GOOD.replace("-01", "-00")));
        assert!(followed.any && followed.recorded.is_empty());
        for n in 0..100 {
            followed.look_at(&text(GOOD));
            followed.look_at(&text(&format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033{n:02x}-01")));
        }
        assert_eq!(followed.recorded.len(), LINKS_MAX);
    }
}
