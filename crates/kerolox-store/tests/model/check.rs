//! Reads of all kinds, compared with what the store has promised.

use kerolox_store::disk::sim::Loss;
use kerolox_store::{ReadLimits, ReadResult, ReadStatus, Verdict};
use kerolox_wire::names::{LogOffset, QueueId};
use kerolox_wire::record::{BodyCheck, Record};

use crate::common::topic;
use crate::history::{Form, QueueKey, Step, TOPICS};
use crate::ledger::{Promise, Served, Violation};
use crate::world::World;

/// Messages that are looked for by key and by place in each check.
const SAMPLE: usize = 6;

impl World {
    /// After a start: reads everything, and takes what is there for granted from now on.
    pub(crate) fn observe(&mut self) -> Result<(), Violation> {
        self.store().flush_now().map_err(|e| format!("flush after a start: {e}"))?;
        let read = self.read_all()?;
        for (key, served, max) in &read {
            self.ledger.settle(*key, served, *max);
        }
        let durable = self.store().durable_end().get();
        self.ledger.durable_to(durable);
        self.check_samples()
    }

    /// Reads everything, unless a fault is in force.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        if self.faulty {
            return Ok(());
        }
        self.read_all()?;
        self.check_samples()
    }

    fn read_all(&self) -> Result<Vec<(QueueKey, Vec<Served>, u64)>, Violation> {
        let store = self.store();
        store.dispatch_now(None).map_err(|e| format!("dispatch fails without a fault: {e}"))?;
        if !self.flipped && store.stats().records_skipped > 0 {
            return Err("dispatch has skipped records of an undamaged log".to_owned());
        }
        self.ledger.keys().into_iter().map(|key| self.read_queue(key)).collect()
    }

    /// A whole queue, which must hold all that was promised and nothing that was not.
    fn read_queue(&self, key: QueueKey) -> Result<(QueueKey, Vec<Served>, u64), Violation> {
        let store = self.store();
        let (name, id) = (topic(TOPICS[key.0]), QueueId::new(key.1));
        let (min, max) = store.queue_range(&name, id).map_or((0, 0), |(min, max)| (min.get(), max.get()));
        let mut served = Vec::new();
        let mut from = min;
        while from < max {
            let result = self.read(key, from);
            served.extend(self.records(key, from, &result)?);
            if result.next.get() <= from {
                return Err(format!("{key:?} is stuck at {from} of {min}..{max}: {:?}", result.status));
            }
            from = result.next.get();
        }
        let visible = if self.is_sync() { store.durable_end() } else { store.end() };
        for (offset, number) in self.ledger.required(key, visible.get()) {
            if !served.iter().any(|one| (one.offset, one.number) == (offset, number)) {
                let message = &self.ledger.messages[number];
                let has: Vec<_> = served.iter().map(|one| (one.offset, one.number)).collect();
                let begin = store.begin();
                return Err(format!(
                    "{key:?} has lost {number} at {offset}: {message:?}, {min}..{max} has {has:?}, begin {begin}"
                ));
            }
        }
        Ok((key, served, max))
    }

    /// One read of a consumer, at the offset that the last one told it.
    pub(crate) fn consume(&mut self, key: QueueKey) -> Result<(), Violation> {
        let from = self.ledger.line(key).consumed;
        let result = self.read(key, from);
        let served = self.records(key, from, &result)?;
        let (next, begin) = (result.next.get(), self.store().begin().get());
        for (offset, number) in self.ledger.required(key, u64::MAX) {
            let is_there = self.ledger.messages[number].log.0 >= begin;
            let is_served = served.iter().any(|one| one.number == number);
            if (from..next).contains(&offset) && is_there && !is_served {
                return Err(format!("{key:?} from {from} to {next} skips {number} at {offset}: {:?}", result.status));
            }
        }
        let line = self.ledger.line_mut(key);
        line.consumed = next;
        Ok(())
    }

    fn read(&self, key: QueueKey, from: u64) -> ReadResult {
        let (name, id) = (topic(TOPICS[key.0]), QueueId::new(key.1));
        self.store().read(&name, id, i64::try_from(from).unwrap(), ReadLimits::count(32), &|_, _| Verdict::Keep)
    }

    /// The records of one answer: whole, of this queue, in order, and allowed to be there.
    fn records(&self, key: QueueKey, from: u64, result: &ReadResult) -> Result<Vec<Served>, Violation> {
        let mut served = Vec::new();
        let mut least = from;
        let mut rest = &result.body[..];
        if result.status != ReadStatus::Found && !rest.is_empty() {
            return Err(format!("{key:?} at {from}: {:?} with records", result.status));
        }
        while !rest.is_empty() {
            let record = Record::parse(rest, BodyCheck::Crc).map_err(|e| format!("{key:?} serves from {from}: {e}"))?;
            rest = &rest[record.bytes().len()..];
            let one = self.number(&record).ok_or_else(|| format!("{key:?} serves an unknown body"))?;
            if !self.ledger.messages[one.number].damaged {
                let place = (record.topic(), record.queue_id().get());
                if place != (TOPICS[key.0], key.1) || one.offset < least || one.offset >= result.next.get() {
                    return Err(format!("{key:?} from {from} to {} serves {one:?} of {place:?}", result.next));
                }
                self.check_visible(one)?;
                least = one.offset + 1;
            }
            self.ledger.judge(key, one)?;
            served.push(one);
        }
        Ok(served)
    }

    /// With `FlushMode::Sync` nothing is consumed that the power may take back.
    fn check_visible(&self, one: Served) -> Result<(), Violation> {
        if self.rules.sync_visible && self.is_sync() && one.log.1 > self.store().durable_end().get() {
            return Err(format!("message {} is served before it is durable", one.number));
        }
        Ok(())
    }

    fn number(&self, record: &Record<'_>) -> Option<Served> {
        let number = usize::try_from(u32::from_be_bytes(*record.body().first_chunk()?)).ok()?;
        let is_whole = number < self.ledger.messages.len() && self.ledger.body(number) == record.body();
        let start = record.log_offset().get();
        let log = (start, start + record.bytes().len() as u64);
        is_whole.then_some(Served { number, offset: record.queue_offset().get(), log })
    }

    /// The newest messages are found by place in the log and by key.
    fn check_samples(&self) -> Result<(), Violation> {
        let (begin, end) = (self.store().begin().get(), self.store().indexed_end().get());
        let messages = self.ledger.messages.iter().enumerate().rev();
        let kept = messages.filter(|(_, m)| m.promise > Promise::Nothing && m.log.0 >= begin && m.log.1 <= end);
        for (number, message) in kept.take(SAMPLE) {
            let bytes = self.store().record_at(LogOffset::new(message.log.0));
            let bytes = bytes.map_err(|e| format!("message {number} is not at {}: {e}", message.log.0))?;
            let is_it =
                |bytes: &[u8]| Record::parse(bytes, BodyCheck::Crc).is_ok_and(|r| r.body() == self.ledger.body(number));
            if !is_it(&bytes) {
                return Err(format!("another record than {number} is at {}", message.log.0));
            }
            if message.form == Form::Plain {
                let found = self.store().query_keys(TOPICS[message.key.0], &format!("k{number}"), 8, 0, i64::MAX);
                if !found.as_ref().unwrap().records.iter().any(|bytes| is_it(bytes)) {
                    return Err(format!("message {number} is not found by its key: {message:?}"));
                }
            }
        }
        Ok(())
    }

    /// After the last step: faults end, and everything works again.
    pub(crate) fn finish(&mut self) -> Result<(), Violation> {
        if let Some(loss) = self.stop.take() {
            self.crash(loss)?;
        }
        self.heal()?;
        self.check()?;
        let again: Vec<_> = self.ledger.keys().into_iter().map(|key| (key, 50, Form::Plain)).collect();
        self.apply(&Step::Append(again))?;
        self.apply(&Step::Flush)?;
        self.check()?;
        for step in [Step::Restart, Step::Crash(Loss::Nothing), Step::Crash(self.rules.last_loss)] {
            self.apply(&step)?;
        }
        Ok(())
    }
}
