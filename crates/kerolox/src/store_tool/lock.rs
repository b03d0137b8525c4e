//! Who holds a data directory, asked without taking its lock.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::process::{Flock, FlockType, fcntl_getlk};

/// The process that holds a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder(Option<i32>);

impl Holder {
    /// A process that the system does not name.
    pub(super) const UNKNOWN: Self = Self(None);
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// The holder of the directory's lock, if there is one. The lock file is opened for reading only, and never made.
pub(super) fn holder(root: &Path) -> io::Result<Option<Holder>> {
    let file = match File::open(root.join("lock")) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    let held = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?;
    // A holder in another container has no number here.
    Ok(held.map(|lock| Holder(lock.pid.map(|pid| pid.as_raw_nonzero().get()))))
}
