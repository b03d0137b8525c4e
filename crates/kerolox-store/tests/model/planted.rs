//! Plants each fault in the store and requires that the model finds it.

use kerolox_store::planted::{PlantedFault, plant};

use crate::history::History;
use crate::kinds::{KINDS, Kind};
use crate::shrink::run;

/// Most histories until a planted fault must have been found.
const SEEDS_MAX: u64 = 3_000;

/// Whether the store has the places at which a fault takes effect.
const fn is_hooked(fault: PlantedFault) -> bool {
    match fault {
        PlantedFault::AckBeforeSync
        | PlantedFault::ChecksumIgnored
        | PlantedFault::FolderNotSynced
        | PlantedFault::MarkBeforeLog
        | PlantedFault::QueueEndUnlocked => false,
    }
}

#[test]
fn each_planted_fault_is_found() {
    let kinds: Vec<Kind> = KINDS.iter().filter(|(_, on, _)| *on).map(|(kind, _, _)| *kind).collect();
    for fault in PlantedFault::ALL.into_iter().filter(|fault| is_hooked(*fault)) {
        let fails = |seed: &u64| {
            plant(Some(fault));
            let violation = run(&History::from_seed(*seed, &kinds)).err();
            plant(None);
            violation
        };
        let found = (1..SEEDS_MAX).find_map(|seed| fails(&seed).map(|violation| (seed, violation)));
        let (seed, violation) = found.unwrap_or_else(|| panic!("{fault:?} is not found in {SEEDS_MAX} histories"));
        println!("{fault:?} is found by seed {seed}: {violation}");
    }
}
