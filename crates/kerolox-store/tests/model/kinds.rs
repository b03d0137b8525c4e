//! The kinds of events and faults that histories are made of, and which of them the store stands today.

/// A kind of event or fault. Histories are generated from all kinds and lose the steps of those that are off, so that a
/// seed stays the same history when a kind is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    Restart,
    Power,
    Torn,
    Stop,
    StopInRecovery,
    FailOnce,
    SyncFails,
    WriteFails,
    ReadFails,
    OpenFails,
    CreateFails,
    RenameFails,
    FullDisk,
    Delete,
    DeleteOnTheWay,
    PlannedBatch,
    CleanExpired,
    Expire,
    FlipBody,
    FlipHeader,
    NewDirs,
    SyncVisible,
}

/// Every kind, whether it is on, and what the store does wrong as long as it is not.
pub(crate) const KINDS: &[(Kind, bool, &str)] = &[
    (Kind::Kill, true, ""),
    (Kind::Restart, true, ""),
    (Kind::Power, true, ""),
    (Kind::Torn, true, ""),
    (Kind::Stop, true, ""),
    (Kind::StopInRecovery, true, ""),
    (Kind::FailOnce, true, ""),
    (Kind::SyncFails, true, ""),
    (Kind::WriteFails, true, ""),
    (Kind::ReadFails, true, ""),
    (Kind::OpenFails, true, ""),
    (Kind::CreateFails, true, ""),
    (Kind::RenameFails, true, ""),
    (Kind::FullDisk, true, ""),
    (Kind::Delete, true, ""),
    (Kind::DeleteOnTheWay, true, ""),
    (Kind::PlannedBatch, true, ""),
    (Kind::CleanExpired, true, ""),
    (Kind::Expire, true, ""),
    (
        Kind::FlipBody,
        false,
        "beside power losses a record with a flipped bit may be taken for a torn one: tests/damage.rs has it alone",
    ),
    (
        Kind::FlipHeader,
        false,
        "beside power losses a record with a flipped bit may be taken for a torn one: tests/damage.rs has it alone",
    ),
    (Kind::NewDirs, true, ""),
    (Kind::SyncVisible, true, ""),
];

/// The kinds in force: those that are on, or those that `KEROLOX_MODEL_KINDS` names (`all`, or names with commas; a
/// leading `+` or `-` changes the default).
pub(crate) fn in_force() -> Vec<Kind> {
    let wanted = std::env::var("KEROLOX_MODEL_KINDS").unwrap_or_default();
    if wanted == "all" {
        return KINDS.iter().map(|(kind, _, _)| *kind).collect();
    }
    let changes: Vec<_> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let only = !changes.is_empty() && !changes.iter().any(|name| name.starts_with(['+', '-']));
    let is_on = |kind: Kind, default: bool| {
        let name = format!("{kind:?}");
        let named = changes.iter().rev().find(|change| change.trim_start_matches(['+', '-']) == name);
        named.map_or(default && !only, |change| !change.starts_with('-'))
    };
    KINDS.iter().filter(|(kind, on, _)| is_on(*kind, *on)).map(|(kind, _, _)| *kind).collect()
}
