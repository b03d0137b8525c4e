//! What the fuzz targets of `fuzz/` reach of the store. Built for them alone, with `--cfg fuzzing`.

use std::io;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::mark::Mark;

/// Reads the mark beside a checkpoint and writes it again; whether there was one.
///
/// # Errors
/// When the disk fails.
///
/// # Panics
/// When what is written says something else.
pub fn read_and_write_mark(disk: &dyn Disk, path: &Path, checkpoint: &Checkpoint) -> io::Result<bool> {
    let Some(mark) = Mark::load(disk, path, checkpoint)? else { return Ok(false) };
    mark.save(disk, path, checkpoint)?;
    assert_eq!(Mark::load(disk, path, checkpoint)?, Some(mark));
    Ok(true)
}
