//! What the pending timers were at the last save: the file `timer/state`.
//!
//! All numbers are big-endian: `KRLXTIMR`; version (4 bytes), 1, or 2 when entries were done ahead; queue offset from which
//! units are read again; queue offset up to which they had been read; the time up to which all was done; the end of a
//! rebuild under way and the time it goes by, or -1 and 0 (8 bytes each); number of roll windows (4) and each of them (8);
//! number of runs (4) and of each its number, entries, done entries, lowest log offset, lowest queue offset (8 each) and
//! level (4); in version 2 the number of entries done ahead (4) and each of them (28, see `entry.rs`); one bit for each unit
//! read again, set while it is pending, padded to bytes; CRC-32 of all before (4).

use super::entry::{ENTRY_SIZE, TimerEntry, put_entry, read_entry};
use super::run::RunFacts;

const MAGIC: &[u8; 8] = b"KRLXTIMR";
const VERSION: u32 = 1;
const VERSION_AHEAD: u32 = 2;
/// More runs or windows than this are not believed.
const RUNS_MAX: u32 = 4096;

/// The pending timers as they are saved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    /// Queue offset from which units must be read again; those before are in runs or done.
    pub(super) read_from: u64,
    /// Queue offset up to which they had been read.
    pub(super) read_to: u64,
    /// Every entry that was to be looked at until then was done, ms since 1970.
    pub(super) floor_ms: i64,
    /// While timers are rebuilt from the log: the end of the queue when that began, and the floor it goes by.
    pub(super) rebuild: Option<(u64, i64)>,
    /// All lengths of time, ms, after which timers of this directory were stored anew; the current one last.
    pub(super) windows_ms: Vec<i64>,
    /// The files.
    pub(super) runs: Vec<RunFacts>,
    /// Entries of the runs that are done although earlier ones are not.
    pub(super) ahead: Vec<TimerEntry>,
    /// A bit for each of `read_from..read_to`: whether it is pending.
    pub(super) pending: Vec<u8>,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.runs.len() * 44 + self.pending.len());
        out.extend_from_slice(MAGIC);
        let version = if self.ahead.is_empty() { VERSION } else { VERSION_AHEAD };
        out.extend_from_slice(&version.to_be_bytes());
        let (rebuild_to, rebuild_ms) = self.rebuild.unwrap_or((u64::MAX, 0));
        for field in
            [self.read_from, self.read_to, self.floor_ms.cast_unsigned(), rebuild_to, rebuild_ms.cast_unsigned()]
        {
            out.extend_from_slice(&field.to_be_bytes());
        }
        put_count(self.windows_ms.len(), &mut out);
        for window in &self.windows_ms {
            out.extend_from_slice(&window.to_be_bytes());
        }
        put_count(self.runs.len(), &mut out);
        for run in &self.runs {
            for field in [run.seq, run.count, run.done, run.log_from, run.queue_from] {
                out.extend_from_slice(&field.to_be_bytes());
            }
            out.extend_from_slice(&run.level.to_be_bytes());
        }
        if !self.ahead.is_empty() {
            put_count(self.ahead.len(), &mut out);
            self.ahead.iter().for_each(|entry| put_entry(entry, &mut out));
        }
        out.extend_from_slice(&self.pending);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    /// What the bytes say; `None` when they are no such file.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if *crc != crc32fast::hash(body).to_be_bytes() {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let version = number(&mut rest)?;
        if ![VERSION, VERSION_AHEAD].contains(&version) {
            return None;
        }
        let mut state = Self { read_from: long(&mut rest)?, read_to: long(&mut rest)?, ..Self::default() };
        state.floor_ms = long(&mut rest)?.cast_signed();
        let (rebuild_to, rebuild_ms) = (long(&mut rest)?, long(&mut rest)?.cast_signed());
        state.rebuild = (rebuild_to != u64::MAX).then_some((rebuild_to, rebuild_ms));
        for _ in 0..count(&mut rest)? {
            state.windows_ms.push(long(&mut rest)?.cast_signed());
        }
        for _ in 0..count(&mut rest)? {
            let run = RunFacts {
                seq: long(&mut rest)?,
                count: long(&mut rest)?,
                done: long(&mut rest)?,
                log_from: long(&mut rest)?,
                queue_from: long(&mut rest)?,
                level: number(&mut rest)?,
            };
            state.runs.push(Some(run).filter(RunFacts::are_possible)?);
        }
        if version == VERSION_AHEAD {
            let len = usize::try_from(number(&mut rest)?).ok()?.checked_mul(ENTRY_SIZE)?;
            let (ahead, behind) = rest.split_at_checked(len)?;
            state.ahead = ahead.chunks_exact(ENTRY_SIZE).map(read_entry).collect();
            rest = behind;
        }
        let bits = state.read_to.checked_sub(state.read_from)?;
        (bits.div_ceil(8) == rest.len() as u64).then_some(())?;
        state.pending = rest.to_vec();
        Some(state)
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn count(rest: &mut &[u8]) -> Option<u32> {
    number(rest).filter(|count| *count <= RUNS_MAX)
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    let (field, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_be_bytes(*field))
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (field, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*field))
}

/// Whether bit `index` is set.
pub(super) fn bit(bits: &[u8], index: u64) -> bool {
    let byte = usize::try_from(index / 8).ok().and_then(|at| bits.get(at)).copied().unwrap_or(0);
    byte & (1 << (index % 8)) != 0
}

/// Sets bit `index`, where there is one.
pub(super) fn set_bit(bits: &mut [u8], index: u64) {
    if let Some(byte) = usize::try_from(index / 8).ok().and_then(|at| bits.get_mut(at)) {
        *byte |= 1 << (index % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::TimerKind;
    use super::*;

    fn state() -> State {
        let run = RunFacts { seq: 3, level: 1, count: 9, done: 2, log_from: 77, queue_from: 5 };
        State {
            read_from: 100,
            read_to: 109,
            floor_ms: -1,
            rebuild: Some((500, 8)),
            windows_ms: vec![10, 20],
            runs: vec![run, RunFacts { seq: 4, ..run }],
            ahead: vec![TimerEntry { wake_ms: 5, kind: TimerKind::Message, log_offset: 6, key_hash: 7 }],
            pending: vec![0xff, 1],
        }
    }

    #[test]
    fn it_reads_back_and_any_change_is_noticed() {
        let bytes = state().encode();
        assert_eq!(State::decode(&bytes), Some(state()));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert_eq!(State::decode(&bad), None, "{at}");
            assert_eq!(State::decode(&bytes[..at]), None, "{at}");
        }
        assert_eq!(State::decode(&State::default().encode()), Some(State::default()));
        for impossible in [
            RunFacts { count: u64::MAX, ..state().runs[0] },
            RunFacts { done: 10, ..state().runs[0] },
            RunFacts { seq: u64::MAX, ..state().runs[0] },
            RunFacts { level: 23, ..state().runs[0] },
        ] {
            assert_eq!(State::decode(&State { runs: vec![impossible], ..state() }.encode()), None, "{impossible:?}");
        }
        let none_ahead = State { ahead: Vec::new(), ..state() };
        assert_eq!(none_ahead.encode()[8..12], VERSION.to_be_bytes(), "as earlier versions read it");
        assert_eq!(State::decode(&none_ahead.encode()), Some(none_ahead));
    }

    #[test]
    fn bits_are_counted_from_the_lowest() {
        let mut bits = vec![0; 2];
        set_bit(&mut bits, 9);
        set_bit(&mut bits, 99);
        assert_eq!(bits, [0, 2]);
        assert!(bit(&bits, 9) && !bit(&bits, 8) && !bit(&bits, 99));
    }
}
