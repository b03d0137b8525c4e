//! The units of one dispatch step, collected queue by queue and written at once.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use kerolox_wire::names::{QueueId, QueueOffset, TopicName};
use kerolox_wire::record::Record;
use kerolox_wire::sys_flag;

use super::wanted::Wanted;
use super::{Arrivals, Sources};
use crate::consume_queue::{Queue, Unit};
use crate::tombstone::Tombstone;

/// Offsets that a damaged place of the log may have taken from a queue, where one flipped bit may have done so as well.
const GAP_PLAUSIBLE: u64 = 64;

/// What is known of the queue offsets of records beside what they say: no checksum covers it, so neighbours decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// This process has given them, one after the other.
    Given,
    /// They come from the disk, and queues may have begun again.
    Compared,
}

/// Memory of the dispatching thread, reused from step to step.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    by_topic: HashMap<Box<str>, Vec<(QueueId, usize)>>,
    /// Slots with units of the current step.
    touched: Vec<usize>,
    /// Where the log was damaged last: records may be missing there.
    damaged_at: Option<u64>,
    /// Records held, at most.
    held: usize,
    /// What was held when the step began, by slot.
    held_before: Vec<(usize, (QueueOffset, Unit))>,
}

/// A queue and its units of the current step.
struct Slot {
    queue: Arc<Queue>,
    first: QueueOffset,
    units: Vec<Unit>,
    /// A record whose offset does not follow from those before it, until the next one of its queue decides.
    held: Option<(QueueOffset, Unit)>,
    /// It is among those of the current step.
    touched: bool,
}

impl Slots {
    /// Forgets the queues known so far: they may be gone.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.by_topic.clear();
        self.touched.clear();
    }

    /// Begins a step, which may fail and come again.
    pub(super) fn begin_step(&mut self) {
        self.held_before.clear();
        if self.held > 0 {
            let held = self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.held?)));
            self.held_before.extend(held);
            self.held = self.held_before.len();
        }
    }

    /// Goes back to where the step began: its records come again, those held from before do not.
    pub(super) fn revert(&mut self) {
        self.drop_units();
        if self.held > 0 || !self.held_before.is_empty() {
            self.slots.iter_mut().for_each(|slot| slot.held = None);
        }
        for (index, held) in self.held_before.drain(..) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.held = Some(held);
                self.held = self.held.saturating_add(1);
            }
        }
    }

    /// Notes that what stands at a log offset was passed over.
    pub(super) fn note_damage(&mut self, at: u64) {
        self.damaged_at = Some(at);
    }

    /// Takes a record's unit in.
    pub(super) fn add(
        &mut self,
        sources: &Sources<'_>,
        record: &Record<'_>,
        wanted: &Wanted<'_>,
        trust: Trust,
    ) -> io::Result<()> {
        if !sys_flag::enters_queue(record.sys_flag()) {
            if record.queue_offset() != QueueOffset::ZERO {
                // Those that enter none have no offset: its flag is damaged.
                self.note_damage(record.log_offset().get());
            }
            return Ok(());
        }
        let Some(index) = self.slot(sources, record.topic(), record.queue_id()) else {
            tracing::warn!(at = %record.log_offset(), topic = ?record.topic(), queue = %record.queue_id(),
                "a record whose topic has no legal name is not dispatched");
            self.note_damage(record.log_offset().get());
            return Ok(());
        };
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        if !std::mem::replace(&mut slot.touched, true) {
            self.touched.push(index);
        }
        let tags_code = wanted.unit_code(record, sources.delay_levels);
        let unit = Unit { log_offset: record.log_offset().get(), size: record.total_size(), tags_code };
        slot.compare(record.queue_offset(), unit, self.damaged_at, trust)?;
        self.held = self.held.saturating_add(usize::from(slot.held.is_some()));
        Ok(())
    }

    /// Does what a tombstone that ends at `end` says, as far as it was not done when the topic was deleted.
    pub(super) fn bury(
        &mut self,
        sources: &Sources<'_>,
        tombstone: &Tombstone,
        end: u64,
        arrivals: Option<&dyn Arrivals>,
    ) -> io::Result<()> {
        self.write()?;
        self.announce(arrivals);
        if sources.queues.delete(&tombstone.topic, end) {
            tracing::info!(topic = %tombstone.topic, at = end, "queues of a deleted topic removed");
        }
        sources.queues.finish_deletions()?;
        // The slots themselves stay until the next pause: others are known by their numbers.
        self.by_topic.remove(tombstone.topic.as_str());
        Ok(())
    }

    /// Writes all units of the step.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.touched.iter().filter_map(|index| self.slots.get(*index)).try_for_each(Slot::write)
    }

    /// Announces what was written, and empties the slots.
    pub(super) fn announce(&mut self, arrivals: Option<&dyn Arrivals>) {
        if let Some(arrivals) = arrivals {
            // One for all units of the step: publishing them is a plain release, which a later load could overtake.
            fence(Ordering::SeqCst);
            for slot in self.touched.iter().filter_map(|index| self.slots.get(*index)) {
                let mut end = slot.first;
                for unit in &slot.units {
                    end = end + 1;
                    arrivals.arrived(slot.queue.topic().as_str(), slot.queue.id(), end, unit.tags_code);
                }
            }
        }
        self.drop_units();
    }

    /// Whether a record is held.
    pub(super) fn holds(&self) -> bool {
        self.held > 0 && self.slots.iter().any(|slot| slot.held.is_some())
    }

    /// Decides on what is held: no record follows that could.
    pub(super) fn settle_held(&mut self, trust: Trust) -> io::Result<()> {
        if self.held == 0 {
            return Ok(());
        }
        self.held = 0;
        // Records alone in queues that nothing else knows: what is damaged in them may be the queue or the topic.
        let strays: Vec<_> = self.slots.iter().filter(|slot| slot.is_unknown(trust)).collect();
        let strays: Vec<_> = strays.iter().filter_map(|slot| slot.held.map(|(claimed, _)| claimed)).collect();
        for (index, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.held.is_some()) {
            slot.settle_held(&strays, trust)?;
            if !std::mem::replace(&mut slot.touched, true) {
                self.touched.push(index);
            }
        }
        Ok(())
    }

    pub(super) fn drop_units(&mut self) {
        for index in self.touched.drain(..) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.units.clear();
                slot.touched = false;
            }
        }
    }

    /// The slot of a queue; `None` when the name could lead out of the store's folder.
    fn slot(&mut self, sources: &Sources<'_>, topic: &str, id: QueueId) -> Option<usize> {
        if let Some(known) = self.by_topic.get(topic)
            && let Some((_, slot)) = known.iter().find(|(known_id, _)| *known_id == id)
        {
            return Some(*slot);
        }
        let name = TopicName::parse(topic).ok()?;
        let queue = sources.queues.get_or_create(&name, id);
        let index = self.slots.len();
        self.slots.push(Slot { queue, first: QueueOffset::ZERO, units: Vec::new(), held: None, touched: false });
        self.by_topic.entry(topic.into()).or_default().push((id, index));
        Some(index)
    }
}

impl Slot {
    /// Adds a unit at its offset.
    fn push(&mut self, offset: QueueOffset, unit: Unit) -> io::Result<()> {
        if self.units.is_empty() {
            self.first = offset;
        } else if self.first + self.units.len() as u64 != offset {
            self.write()?;
            self.units.clear();
            self.first = offset;
        }
        self.units.push(unit);
        Ok(())
    }

    /// Adds a unit whose offset may be damaged.
    fn compare(&mut self, offset: QueueOffset, unit: Unit, damaged_at: Option<u64>, trust: Trust) -> io::Result<()> {
        if self.held.is_none() && !self.units.is_empty() && offset == self.first + self.units.len() as u64 {
            // Nearly all records: the one behind the last of this step.
            self.units.push(unit);
            return Ok(());
        }
        if unit.log_end() <= self.queue.log_end().max(self.queue.born_at()) {
            // It is in the queue already, or in one that was deleted.
            return Ok(());
        }
        if !self.may_have(offset, trust) {
            self.damaged(offset, &unit, "it is left out");
            return Ok(());
        }
        if let Some((claimed, held)) = self.held.take() {
            let agrees = claimed + 1 == offset;
            match self.expected(trust) {
                // Two in a row: so it is, whatever came before.
                Some(expected) if agrees && claimed < expected && trust == Trust::Compared => {
                    self.begin_again(claimed, held)?;
                }
                None if agrees => self.push_first(claimed, held)?,
                _ if agrees && self.may_have(claimed, trust) => self.push(claimed, held)?,
                Some(expected) if expected + 1 == offset => self.push_damaged(expected, held, trust)?,
                // The first of all that is known of the queue, and those between are missing.
                None if claimed <= offset => self.push_first(claimed, held)?,
                _ => self.damaged(claimed, &held, "it is left out"),
            }
        }
        let known_end = self.units.last().map_or(self.queue.log_end(), Unit::log_end);
        let may_lack = damaged_at.is_some_and(|at| at >= known_end);
        let is_gap = |expected: QueueOffset| {
            let length = offset.get().saturating_sub(expected.get());
            offset > expected
                && self.may_have(offset, trust)
                && (!is_flip(offset, expected) || (may_lack && length <= GAP_PLAUSIBLE))
        };
        match self.expected(trust) {
            Some(expected) if expected == offset || is_gap(expected) => self.push(offset, unit),
            Some(expected) if offset == QueueOffset::ZERO && !is_flip(offset, expected) && trust == Trust::Compared => {
                self.begin_again(offset, unit)
            }
            _ => {
                self.held = Some((offset, unit));
                Ok(())
            }
        }
    }

    fn settle_held(&mut self, strays: &[QueueOffset], trust: Trust) -> io::Result<()> {
        let Some((claimed, unit)) = self.held.take() else { return Ok(()) };
        let astray = |expected| strays.iter().any(|stray| (expected..claimed).contains(stray));
        let was_given = trust == Trust::Given && self.may_have(claimed, trust);
        match self.expected(trust) {
            // One that is missing before it went astray. To leave out a single offset harms nobody in any case.
            Some(expected) if claimed > expected && (was_given || claimed == expected + 1 || astray(expected)) => {
                self.push(claimed, unit)
            }
            Some(expected) => self.push_damaged(expected, unit, trust),
            None => self.push_first(claimed, unit),
        }
    }

    /// Adds the first record that is known of a queue. What units say of later offsets is not borne out by the log: they
    /// are torn, or of an earlier life of the topic.
    fn push_first(&mut self, offset: QueueOffset, unit: Unit) -> io::Result<()> {
        if offset < self.queue.max() { self.begin_again(offset, unit) } else { self.push(offset, unit) }
    }

    /// Whether the queue can have a record of this offset: none has one that was not given yet.
    fn may_have(&self, offset: QueueOffset, trust: Trust) -> bool {
        trust == Trust::Compared || offset < self.queue.next_offset()
    }

    /// Whether nothing but the held record says that there is such a queue.
    fn is_unknown(&self, trust: Trust) -> bool {
        match trust {
            Trust::Given => self.queue.next_offset() == QueueOffset::ZERO,
            Trust::Compared => self.expected(trust).is_none(),
        }
    }

    /// The offset that the next record of an undamaged log has; `None` where nothing is known.
    fn expected(&self, trust: Trust) -> Option<QueueOffset> {
        if !self.units.is_empty() {
            return Some(self.first + self.units.len() as u64);
        }
        if trust == Trust::Given {
            // What recovery found is where appends went on.
            return Some(self.queue.max());
        }
        (self.queue.min() < self.queue.max()).then(|| self.queue.max())
    }

    /// Gives a record with a damaged offset the place that its neighbours leave for it, so that they keep theirs. It is
    /// never handed out: readers compare.
    fn push_damaged(&mut self, offset: QueueOffset, unit: Unit, trust: Trust) -> io::Result<()> {
        if !self.may_have(offset, trust) {
            self.damaged(offset, &unit, "it is left out");
            return Ok(());
        }
        self.damaged(offset, &unit, "its place is kept");
        self.push(offset, unit)
    }

    fn damaged(&self, offset: QueueOffset, unit: &Unit, outcome: &str) {
        tracing::error!(topic = %self.queue.topic(), queue = %self.queue.id(), %offset, at = unit.log_offset, outcome,
            "the queue offset of a record is damaged");
    }

    /// The topic was deleted and made again by a program that leaves no tombstone.
    fn begin_again(&mut self, offset: QueueOffset, unit: Unit) -> io::Result<()> {
        tracing::warn!(topic = %self.queue.topic(), queue = %self.queue.id(), first = %offset, "queue begins again");
        self.units.clear();
        self.queue.begin_again()?;
        self.push(offset, unit)
    }

    fn write(&self) -> io::Result<()> {
        match self.queue.append(self.first, &self.units) {
            // Trying again would not help: the record's offset makes no sense in its queue.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
                tracing::error!(error = %e, count = self.units.len(), "records that fit no place in their queue");
                Ok(())
            }
            other => other,
        }
    }
}

/// Whether two offsets differ in one bit.
fn is_flip(a: QueueOffset, b: QueueOffset) -> bool {
    (a.get() ^ b.get()).is_power_of_two()
}
