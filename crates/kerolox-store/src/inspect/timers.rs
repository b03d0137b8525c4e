//! The files of the timers, read only. They are derived from the log; the byte positions are those of `timers/state.rs` and
//! `timers/entry.rs`.

use std::io;
use std::path::Path;

use super::finding::{Finding, Findings, Kind};
use crate::disk::{Disk, OpenMode};

const STATE_MAGIC: &[u8; 8] = b"KRLXTIMR";
const VERSIONS: [u32; 2] = [1, 2];
const BLOCK: usize = 4096;
const BLOCK_ENTRIES: u64 = 146;
const ENTRY: usize = 28;
const COUNT_AT: usize = 4088;
/// More runs or windows than this are not believed.
const RUNS_MAX: u32 = 4096;

/// A run as the state names it.
struct Run {
    seq: u64,
    count: u64,
    done: u64,
}

/// Checks state and runs below `dir`, the folder `timer`; `log_end` is the end of the log.
pub(super) fn check(disk: &dyn Disk, dir: &Path, log_end: u64, findings: &mut Findings) {
    let path = dir.join("state");
    if !disk.exists(&path) {
        return;
    }
    let runs = match disk.read_file(&path).map(|bytes| runs_of(&bytes)) {
        Ok(Some(runs)) => runs,
        Ok(None) => {
            findings.add(Finding::of(Kind::TimerState, &path, "it does not fit its checksum"));
            return;
        }
        Err(why) => {
            findings.add(Finding::of(Kind::TimerState, &path, why.to_string()));
            return;
        }
    };
    for run in runs {
        let path = dir.join(format!("{:020}.run", run.seq));
        let fault = match run_fault(disk, &path, &run, log_end) {
            Ok(fault) => fault,
            Err(why) => Some(why.to_string()),
        };
        if let Some(why) = fault {
            findings.add(Finding::of(Kind::TimerRun, &path, why));
        }
    }
}

fn run_fault(disk: &dyn Disk, path: &Path, run: &Run, log_end: u64) -> io::Result<Option<String>> {
    let file = disk.open(path, OpenMode::Read)?;
    let expected = run.count.div_ceil(BLOCK_ENTRIES).saturating_mul(BLOCK as u64);
    if file.len() != expected {
        return Ok(Some(format!("{} bytes, where the state calls for {expected}", file.len())));
    }
    if run.done > run.count {
        return Ok(Some(format!("{} of its {} entries are done", run.done, run.count)));
    }
    let (mut at, mut last, mut entries) = (0, None, 0_u64);
    let mut bytes = [0; BLOCK];
    while at < file.len() {
        file.read_once(at, &mut bytes)?;
        let Some(used) = used_entries(&bytes) else {
            return Ok(Some(format!("the block at byte {at} does not fit its checksum")));
        };
        for entry in used.chunks_exact(ENTRY) {
            let (wake, offset) = (long(entry, 0).cast_signed(), long(entry, 8));
            if last.is_some_and(|last| wake < last) {
                return Ok(Some(format!("the block at byte {at} is not sorted")));
            }
            if entries >= run.done && offset >= log_end {
                return Ok(Some(format!("an entry points to log offset {offset}, and the log ends at {log_end}")));
            }
            last = Some(wake);
            entries = entries.saturating_add(1);
        }
        at = at.saturating_add(BLOCK as u64);
    }
    Ok((entries != run.count).then(|| format!("it has {entries} entries, where the state counts {}", run.count)))
}

/// The bytes of the entries in use, when the block fits its checksum.
fn used_entries(block: &[u8; BLOCK]) -> Option<&[u8]> {
    let (body, crc) = block.split_last_chunk::<4>()?;
    if *crc != crc32fast::hash(body).to_be_bytes() {
        return None;
    }
    let count = body.get(COUNT_AT..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_be_bytes(*bytes))?;
    let len = usize::try_from(count).ok()?.checked_mul(ENTRY)?;
    body.get(..COUNT_AT)?.get(..len)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u64::from_be_bytes(*field))
}

/// The runs that a state names; `None` when it is damaged.
fn runs_of(bytes: &[u8]) -> Option<Vec<Run>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if *crc != crc32fast::hash(body).to_be_bytes() {
        return None;
    }
    let mut rest = body.strip_prefix(STATE_MAGIC)?;
    if !VERSIONS.contains(&take_int(&mut rest)?) {
        return None;
    }
    // Ranges, floor and rebuild.
    for _ in 0..5 {
        take_long(&mut rest)?;
    }
    let windows = take_int(&mut rest).filter(|count| *count <= RUNS_MAX)?;
    for _ in 0..windows {
        take_long(&mut rest)?;
    }
    let mut runs = Vec::new();
    for _ in 0..take_int(&mut rest).filter(|count| *count <= RUNS_MAX)? {
        let run = Run { seq: take_long(&mut rest)?, count: take_long(&mut rest)?, done: take_long(&mut rest)? };
        // Lowest offsets and level.
        take_long(&mut rest)?;
        take_long(&mut rest)?;
        take_int(&mut rest)?;
        runs.push(run);
    }
    Some(runs)
}

fn take_long(rest: &mut &[u8]) -> Option<u64> {
    let (field, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_be_bytes(*field))
}

fn take_int(rest: &mut &[u8]) -> Option<u32> {
    let (field, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*field))
}
