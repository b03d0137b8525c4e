//! Faults that tests plant in the store to show that they would be found. Without the feature `planted-faults`, which
//! nothing that is shipped enables, no fault can be planted and [`on`] is `false` at compile time.

/// A fault of the store's own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedFault {
    /// Waiters are told that their records are durable before the sync that makes them so.
    AckBeforeSync,
    /// The checksum of a body is not compared when recovery or a read looks at a record.
    ChecksumIgnored,
    /// A new log file's name is not made durable by a sync of its folder.
    FolderNotSynced,
    /// The position that recovery begins at is saved before the log up to it is durable.
    MarkBeforeLog,
    /// The next offset of a queue is set outside of the append lock.
    QueueEndUnlocked,
}

impl PlantedFault {
    /// Every fault.
    pub const ALL: [Self; 5] = [
        Self::AckBeforeSync,
        Self::ChecksumIgnored,
        Self::FolderNotSynced,
        Self::MarkBeforeLog,
        Self::QueueEndUnlocked,
    ];
}

/// Whether a fault is planted for the calling thread.
#[cfg(not(feature = "planted-faults"))]
#[must_use]
#[inline]
pub const fn on(_fault: PlantedFault) -> bool {
    false
}

#[cfg(feature = "planted-faults")]
pub use planting::{on, plant};

#[cfg(feature = "planted-faults")]
mod planting {
    use std::cell::Cell;

    use super::PlantedFault;

    thread_local! {
        static PLANTED: Cell<Option<PlantedFault>> = const { Cell::new(None) };
    }

    /// Whether a fault is planted for the calling thread.
    #[must_use]
    pub fn on(fault: PlantedFault) -> bool {
        PLANTED.get() == Some(fault)
    }

    /// Plants a fault for the calling thread, in place of the one before. Threads of a store have none, so that tests
    /// run it with [`crate::Store::dispatch_now`] and [`crate::Store::flush_now`].
    pub fn plant(fault: Option<PlantedFault>) {
        PLANTED.set(fault);
    }
}
