//! What a store has promised, and what it may therefore serve.

use std::collections::BTreeMap;

use crate::history::{Form, QUEUES, QueueKey, TOPICS};

/// A broken promise, in words.
pub(crate) type Violation = String;

/// What a message must survive. Messages without a promise may be there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    Nothing,
    /// The end of the process.
    Process,
    /// The end of the power.
    Power,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) key: QueueKey,
    pub(crate) form: Form,
    len: usize,
    pub(crate) offset: Option<u64>,
    /// Begin and end in the log.
    pub(crate) log: (u64, u64),
    pub(crate) stored_ms: i64,
    pub(crate) promise: Promise,
    /// A bit of it was flipped.
    pub(crate) damaged: bool,
    /// Retention has taken it.
    taken: bool,
}

/// The messages that one queue may hold.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) by_offset: BTreeMap<u64, usize>,
    /// Messages of a failed append: their offsets were never told.
    pub(crate) floating: Vec<usize>,
    /// Offset of the next message, if that is certain.
    next: Option<u64>,
    /// Where a consumer goes on.
    pub(crate) consumed: u64,
}

/// A record as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) number: usize,
    pub(crate) offset: u64,
    pub(crate) log: (u64, u64),
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) messages: Vec<Message>,
    lines: BTreeMap<QueueKey, Line>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let line = || Line { next: Some(0), ..Line::default() };
        let keys = (0..TOPICS.len()).flat_map(|topic| (0..QUEUES).map(move |queue| (topic, queue)));
        Self { messages: Vec::new(), lines: keys.map(|key| (key, line())).collect() }
    }

    pub(crate) fn keys(&self) -> Vec<QueueKey> {
        self.lines.keys().copied().collect()
    }

    pub(crate) fn line(&self, key: QueueKey) -> &Line {
        &self.lines[&key]
    }

    pub(crate) fn line_mut(&mut self, key: QueueKey) -> &mut Line {
        self.lines.get_mut(&key).unwrap()
    }

    /// A new message, which nothing is promised of yet; returns its number and its body.
    pub(crate) fn message(&mut self, key: QueueKey, len: usize, form: Form) -> (usize, Vec<u8>) {
        let number = self.messages.len();
        self.messages.push(Message {
            key,
            form,
            len,
            offset: None,
            log: (0, 0),
            stored_ms: 0,
            promise: Promise::Nothing,
            damaged: false,
            taken: false,
        });
        (number, self.body(number))
    }

    pub(crate) fn body(&self, number: usize) -> Vec<u8> {
        let mut body = u32::try_from(number).unwrap().to_be_bytes().to_vec();
        body.resize(4 + self.messages[number].len, b'.');
        body
    }

    /// The store has told where a message is.
    pub(crate) fn acknowledge(&mut self, served: Served, stored_ms: i64) -> Result<(), Violation> {
        let Served { number, offset, log } = served;
        let message = &mut self.messages[number];
        let (key, form) = (message.key, message.form);
        (message.log, message.stored_ms, message.promise) = (log, stored_ms, Promise::Process);
        if form != Form::Plain {
            return Ok(());
        }
        message.offset = Some(offset);
        let line = self.lines.get_mut(&key).unwrap();
        if let Some(next) = line.next
            && next != offset
        {
            return Err(format!("message {number} of {key:?} was told offset {offset} where {next} is next"));
        }
        if let Some(old) = line.by_offset.insert(offset, number)
            && self.messages[old].promise > Promise::Nothing
        {
            return Err(format!("offset {offset} of {key:?} was given to {old} and to {number}"));
        }
        let line = self.lines.get_mut(&key).unwrap();
        drop(line.by_offset.split_off(&(offset + 1)));
        line.next = Some(offset + 1);
        Ok(())
    }

    /// The append of a message has failed halfway: a later start may find it.
    pub(crate) fn float(&mut self, number: usize) {
        let message = &self.messages[number];
        if message.form == Form::Plain {
            self.lines.get_mut(&message.key).unwrap().floating.push(number);
        }
    }

    /// What was promised before this place of the log survives the power from now on.
    pub(crate) fn durable_to(&mut self, end: u64) {
        for message in self.messages.iter_mut().filter(|m| m.promise == Promise::Process && m.log.1 <= end) {
            message.promise = Promise::Power;
        }
    }

    /// The store has said of one message that it is durable.
    pub(crate) fn durable(&mut self, number: usize) {
        let message = &mut self.messages[number];
        if message.promise == Promise::Process {
            message.promise = Promise::Power;
        }
    }

    /// A crash ends all weaker promises.
    pub(crate) fn keep(&mut self, least: Promise) {
        for message in &mut self.messages {
            if message.promise < least {
                message.promise = Promise::Nothing;
            }
        }
        for line in self.lines.values_mut() {
            line.next = None;
        }
    }

    /// A topic and all its messages are gone.
    pub(crate) fn delete(&mut self, topic: usize) {
        for message in self.messages.iter_mut().filter(|m| m.key.0 == topic) {
            message.promise = Promise::Nothing;
        }
        for (_, line) in self.lines.iter_mut().filter(|((own, _), _)| *own == topic) {
            *line = Line { next: Some(0), ..Line::default() };
        }
    }

    /// A deletion has failed: any part of the topic may be there.
    pub(crate) fn doubt(&mut self, topic: usize) {
        for message in self.messages.iter_mut().filter(|m| m.key.0 == topic) {
            message.promise = Promise::Nothing;
        }
        for (_, line) in self.lines.iter_mut().filter(|((own, _), _)| *own == topic) {
            line.next = None;
        }
    }

    /// Whether the topic has a message that must be there.
    pub(crate) fn has_promises(&self, topic: usize) -> bool {
        self.messages.iter().any(|m| m.key.0 == topic && m.form == Form::Plain && m.promise > Promise::Nothing)
    }

    /// The log begins later: what lay before must have been allowed to go, which is what was stored until `old_ms` and
    /// lies before `settled`.
    pub(crate) fn retain(&mut self, begin: u64, old_ms: i64, settled: u64) -> Result<(), Violation> {
        for (number, message) in self.messages.iter_mut().enumerate() {
            if message.promise == Promise::Nothing || message.log.0 >= begin {
                continue;
            }
            if message.stored_ms > old_ms || message.log.1 > settled {
                return Err(format!("retention took message {number}: {message:?}, begin {begin}, settled {settled}"));
            }
            (message.promise, message.taken) = (Promise::Nothing, true);
        }
        Ok(())
    }

    /// Whether a record may be served; `Err` says why not.
    pub(crate) fn judge(&self, key: QueueKey, served: Served) -> Result<(), Violation> {
        let line = &self.lines[&key];
        let known =
            line.by_offset.get(&served.offset) == Some(&served.number) || line.floating.contains(&served.number);
        if known || self.messages[served.number].damaged {
            return Ok(());
        }
        let told = &self.messages[served.number];
        Err(format!("{key:?} serves at {} message {}: {told:?}", served.offset, served.number))
    }

    /// Messages of a queue that must be readable; those that the power may take only before a place of the log.
    pub(crate) fn required(&self, key: QueueKey, visible: u64) -> impl Iterator<Item = (u64, usize)> {
        let kept = move |number: usize| {
            let message = &self.messages[number];
            message.promise == Promise::Power || message.promise == Promise::Process && message.log.1 <= visible
        };
        self.lines[&key].by_offset.iter().map(|(o, n)| (*o, *n)).filter(move |(_, number)| kept(*number))
    }

    /// After a start: what is there stays there, what is not there never comes back, and the queue goes on at `max`.
    pub(crate) fn settle(&mut self, key: QueueKey, served: &[Served], max: u64) {
        let line = self.lines.get_mut(&key).unwrap();
        let messages = &mut self.messages;
        line.floating.clear();
        line.by_offset.retain(|_, number| messages[*number].taken || messages[*number].damaged);
        for one in served {
            let message = &mut messages[one.number];
            line.by_offset.insert(one.offset, one.number);
            (message.offset, message.log) = (Some(one.offset), one.log);
            if !message.damaged && !message.taken {
                message.promise = message.promise.max(Promise::Process);
            }
        }
        line.next = Some(max);
        line.consumed = line.consumed.min(max);
    }
}
