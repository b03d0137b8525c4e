//! Finding and moving the ends of a queue: recovery, truncation, expiry.

use std::io;
use std::sync::atomic::Ordering;

use super::{Queue, READ_BYTES, READ_UNITS, UNIT_SIZE, Unit, to_u64};

/// Files walked after a crash, counted from the end: older ones were made durable long ago.
const WALKED_FILES: u64 = 3;
/// Zeros after which the rest of a file counts as never written. After a crash pages may be missing between others that
/// reached the disk.
const QUIET_BYTES: u64 = 256 * 1024;

impl Queue {
    /// Finds the end of the queue after a crash: walks all units from the third-last file on, up to the first that is
    /// missing or does not follow the one before in the log, and clears what is behind. Returns where the log must be
    /// dispatched from as far as this queue knows: the end of its last record, 0 without one.
    ///
    /// A unit torn in its middle is not noticed: the caller truncates to where dispatch begins again, which is at or
    /// before what the last flush covered.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn recover(&self) -> io::Result<u64> {
        let (first, last, count) = self.run();
        if count == 0 {
            return Ok(0);
        }
        let walked = WALKED_FILES.min(count).saturating_sub(1).saturating_mul(self.units_per_file());
        let mut at = last.saturating_sub(walked).max(first);
        let limit = last.saturating_add(self.units_per_file());
        let mut log_end = 0;
        let mut bytes = [0; READ_BYTES];
        'walk: while at < limit {
            let len = self.room_in_file(at).min(to_u64(READ_UNITS));
            for unit in self.read(at, len, &mut bytes)? {
                let follows = unit.is_message() && unit.log_offset >= log_end;
                if !follows && !unit.is_blank() {
                    break 'walk;
                }
                if unit.is_message() {
                    log_end = unit.log_end();
                }
                at = at.saturating_add(1);
            }
        }
        self.settle(at)?;
        self.clear_behind(at)?;
        self.files.lock().close();
        Ok(self.log_end())
    }

    /// As [`recover`](Self::recover) after a clean stop, when the units are known to be dense: finds the end in a few
    /// reads, whatever the size of the queue.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn recover_clean(&self) -> io::Result<u64> {
        let (first, mut start, count) = self.run();
        if count == 0 {
            return Ok(0);
        }
        // The file with the end is the last one that has anything, or the first.
        while start > first && !self.read_one(start)?.is_taken() {
            let before = start.saturating_sub(1);
            if self.read_one(before)?.is_taken() {
                break;
            }
            start = start.saturating_sub(self.units_per_file());
        }
        let (mut taken, mut free) = (start, start.saturating_add(self.units_per_file()));
        while taken < free {
            let middle = taken.midpoint(free);
            if self.read_one(middle)?.is_taken() {
                taken = middle.saturating_add(1);
            } else {
                free = middle;
            }
        }
        self.settle(taken)?;
        self.files.lock().close();
        Ok(self.log_end())
    }

    /// As [`recover`](Self::recover) when the units of all records before `complete` are known to be durable and dense:
    /// finds the last of them in a few reads, whatever the size of the queue, and clears what is behind.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn recover_to(&self, complete: u64) -> io::Result<u64> {
        let (first, mut start, count) = self.run();
        if count == 0 {
            return Ok(0);
        }
        while start > first && !self.is_settled(start, complete)? {
            start = start.saturating_sub(self.units_per_file());
        }
        let (mut settled, mut open) = (start, start.saturating_add(self.units_per_file()));
        // Most queues are small: the search stays in the first pages then.
        let near = start.saturating_add(to_u64(READ_UNITS));
        if near < open && !self.is_settled(near, complete)? {
            open = near;
        }
        while settled < open {
            let middle = settled.midpoint(open);
            if self.is_settled(middle, complete)? {
                settled = middle.saturating_add(1);
            } else {
                open = middle;
            }
        }
        self.settle(settled)?;
        self.clear_behind(settled)?;
        self.files.lock().close();
        Ok(self.log_end())
    }

    /// Whether the unit is that of a record before `complete`, or a blank that such a unit follows.
    fn is_settled(&self, at: u64, complete: u64) -> io::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        let unit = self.read_one(at)?;
        if unit.is_blank() {
            // A blank says nothing; the first unit behind it does.
            let (mut next, limit) = (at, at.saturating_add(self.room_in_file(at)));
            while next < limit {
                let len = limit.saturating_sub(next).min(to_u64(READ_UNITS));
                if let Some(unit) = self.read(next, len, &mut bytes)?.find(|unit| !unit.is_blank()) {
                    return Ok(unit.is_message() && unit.log_end() <= complete);
                }
                next = next.saturating_add(len);
            }
            // A file full of blanks was made for a message in a later one, which was looked at before.
            return Ok(false);
        }
        if !unit.is_message() || unit.log_end() > complete {
            return Ok(false);
        }
        if self.room_in_file(at) == self.units_per_file() {
            return Ok(true);
        }
        // A unit torn where two pages meet may look like an old one, but then it does not follow the one before it.
        let before = self.read_one(at.saturating_sub(1))?;
        Ok(before.is_blank() || before.is_message() && before.log_end() <= unit.log_offset)
    }

    /// Drops units of records at or behind `log_end`, with their bytes, and makes that durable: an old unit that came
    /// back after a crash would point into the middle of newer records.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn truncate(&self, log_end: u64) -> io::Result<()> {
        let (first, _, _) = self.run();
        let max = self.max().get();
        let mut end = max;
        let mut at = max;
        let mut bytes = [0; READ_BYTES];
        'walk: while at > first {
            let len = at.saturating_sub(first).min(to_u64(READ_UNITS)).min(self.taken_in_file(at));
            let begin = at.saturating_sub(len);
            for unit in self.read(begin, len, &mut bytes)?.rev() {
                at = at.saturating_sub(1);
                if unit.is_message() {
                    if unit.log_offset < log_end {
                        break 'walk;
                    }
                    end = at;
                }
            }
        }
        if end == max {
            return Ok(());
        }
        self.settle(end)?;
        self.clear(end, max)?;
        self.flush()
    }

    /// Sets `min` to the first message whose record is not before `log_begin`, or to `max` without one.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn correct_min(&self, log_begin: u64) -> io::Result<()> {
        let outcome = self.find_min(log_begin);
        self.files.lock().close();
        outcome
    }

    fn find_min(&self, log_begin: u64) -> io::Result<()> {
        let (first, _, count) = self.run();
        let max = self.max().get();
        let (mut low, mut high) = (first, if count == 0 { first } else { max });
        // Log offsets rise along the queue, but blanks say nothing: for one the next message behind it decides.
        while low < high {
            let middle = low.midpoint(high);
            match self.message_from(middle, high)? {
                Some((at, unit)) if unit.log_offset < log_begin => low = at.saturating_add(1),
                _ => high = middle,
            }
        }
        let min = self.message_from(low, max)?.map_or(max, |(at, _)| at);
        self.min.store(min, Ordering::Release);
        Ok(())
    }

    /// Corrects `min`, then removes files whose last unit lies below `log_begin`, never the last one. Returns how many.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete_expired(&self, log_begin: u64) -> io::Result<usize> {
        let _tail = self.tail.lock();
        self.find_min(log_begin)?;
        let mut removed = 0_usize;
        loop {
            let (first, _, count) = self.run();
            let next = first.saturating_add(self.units_per_file());
            if count <= 1 || next > self.max().get() || next > self.min().get() {
                return Ok(removed);
            }
            if self.read_one(next.saturating_sub(1))?.log_offset >= log_begin {
                return Ok(removed);
            }
            self.files.lock().remove_first(self.home())?;
            removed = removed.saturating_add(1);
        }
    }

    /// First unit of the first file, first unit of the last file, number of files.
    fn run(&self) -> (u64, u64, u64) {
        let files = self.files.lock();
        (files.first() / UNIT_SIZE, files.last(&self.place) / UNIT_SIZE, files.count())
    }

    /// Makes `end` the end of the queue: files behind it go, and all published numbers follow.
    fn settle(&self, end: u64) -> io::Result<()> {
        let mut tail = self.tail.lock();
        self.max.store(end, Ordering::Release);
        self.next.store(end, Ordering::Release);
        {
            let mut files = self.files.lock();
            let end_byte = end.saturating_mul(UNIT_SIZE);
            // An empty file that is the only one stays: its name is what remembers the queue's offset.
            while files.last(&self.place) > end_byte || (files.count() > 1 && files.last(&self.place) == end_byte) {
                files.remove_last(self.home())?;
            }
        }
        let (first, _, _) = self.run();
        tail.log_end = self.message_before(end, first)?.map_or(0, |unit| unit.log_end());
        let min = self.min.load(Ordering::Acquire).max(first).min(end);
        let min = self.message_from(min, end)?.map_or(end, |(at, _)| at);
        self.min.store(min, Ordering::Release);
        Ok(())
    }

    /// The first message in `from..to` and its offset.
    fn message_from(&self, from: u64, to: u64) -> io::Result<Option<(u64, Unit)>> {
        let mut at = from;
        if at < to {
            // Nearly always the first look is enough.
            let unit = self.read_one(at)?;
            if unit.is_message() {
                return Ok(Some((at, unit)));
            }
        }
        let mut bytes = [0; READ_BYTES];
        while at < to {
            let len = to.saturating_sub(at).min(self.room_in_file(at)).min(to_u64(READ_UNITS));
            for unit in self.read(at, len, &mut bytes)? {
                if unit.is_message() {
                    return Ok(Some((at, unit)));
                }
                at = at.saturating_add(1);
            }
        }
        Ok(None)
    }

    /// The last message in `first..end`.
    fn message_before(&self, end: u64, first: u64) -> io::Result<Option<Unit>> {
        let mut at = end;
        let mut bytes = [0; READ_BYTES];
        while at > first {
            let len = at.saturating_sub(first).min(to_u64(READ_UNITS)).min(self.taken_in_file(at));
            at = at.saturating_sub(len);
            if let Some(unit) = self.read(at, len, &mut bytes)?.rev().find(Unit::is_message) {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    /// Units before `at` in the file of the unit before it.
    fn taken_in_file(&self, at: u64) -> u64 {
        let before = at.saturating_sub(1);
        (before % self.units_per_file()).saturating_add(1)
    }

    /// Clears whatever a crash left behind the end in its file.
    fn clear_behind(&self, end: u64) -> io::Result<()> {
        let (_, last, count) = self.run();
        let limit = last.saturating_add(self.units_per_file());
        let (mut at, mut dirt_end) = (end, end);
        let mut bytes = [0; READ_BYTES];
        while count > 0 && at < limit && at.saturating_sub(dirt_end).saturating_mul(UNIT_SIZE) < QUIET_BYTES {
            // Most files end in a hole; reading it would fill the page cache with zeros.
            let data = self.data_from(at)?;
            if data > at {
                at = data.min(limit);
                continue;
            }
            let len = self.room_in_file(at).min(to_u64(READ_UNITS));
            let dirty = self.read(at, len, &mut bytes)?.any(|unit| unit != Unit::default());
            at = at.saturating_add(len);
            if dirty {
                dirt_end = at;
            }
        }
        if dirt_end > end {
            tracing::warn!(topic = %self.topic, queue = %self.id, end, "cleared torn units behind the end of a queue");
            self.clear(end, dirt_end)?;
            self.flush()?;
        }
        Ok(())
    }

    /// The first unit from `at` on in its file of which the medium has anything.
    fn data_from(&self, at: u64) -> io::Result<u64> {
        let start = self.file_start(at);
        let data = self.file(start)?.data_from(at.saturating_mul(UNIT_SIZE).saturating_sub(start));
        Ok((start.saturating_add(data) / UNIT_SIZE).max(at))
    }

    /// Writes zeros over the units `from..to`, as far as they are in the file of `from`.
    fn clear(&self, from: u64, to: u64) -> io::Result<()> {
        let start = self.file_start(from);
        let mut files = self.files.lock();
        if files.is_empty() || start >= files.end(&self.place) {
            return Ok(());
        }
        let file = files.get(self.home(), start)?;
        files.mark_dirty(start);
        drop(files);
        let to = to.min(from.saturating_add(self.room_in_file(from)));
        let zeros = [0; READ_BYTES];
        let mut at = from;
        while at < to {
            let len = to.saturating_sub(at).min(to_u64(READ_UNITS));
            let bytes = zeros.get(..super::to_len(len.saturating_mul(UNIT_SIZE))).unwrap_or(&zeros);
            file.write_at(at.saturating_mul(UNIT_SIZE).saturating_sub(start), bytes)?;
            at = at.saturating_add(len);
        }
        Ok(())
    }
}
