//! Whole histories of a store under all faults of its disk, each from a seed, checked against what it has promised.
//!
//! `KEROLOX_MODEL_FROM` is the first seed (default: from the clock), `KEROLOX_MODEL_SEEDS` their number,
//! `KEROLOX_MODEL_SECONDS` the time for them (default 20), `KEROLOX_MODEL_KINDS` the kinds of faults (see `kinds.rs`).
//! For hours: `KEROLOX_MODEL_SECONDS=36000 cargo test --release -p kerolox-store --test model fresh`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    reason = "the budget and the first seed come from the real clock, histories never"
)]

mod check;
#[path = "../common/mod.rs"]
mod common;
mod history;
mod kinds;
mod ledger;
#[cfg(feature = "planted-faults")]
mod planted;
mod random;
mod shrink;
mod world;

use std::time::{Duration, Instant, SystemTime};

use history::History;
use kinds::in_force;
use shrink::{run, shrink};

/// Seeds that have failed before, each with a word on what it found.
const SEEDS: &str = include_str!("seeds.txt");

#[test]
fn fresh_seeds_keep_all_promises() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let from = number("KEROLOX_MODEL_FROM").unwrap_or_else(clock_seed);
    let count = number("KEROLOX_MODEL_SEEDS");
    let unlimited = if count.is_some() { u64::MAX / 4 } else { 20 };
    let budget = Duration::from_secs(number("KEROLOX_MODEL_SECONDS").unwrap_or(unlimited));
    let kinds = in_force();
    let began = Instant::now();
    let mut done = 0;
    for seed in (from..).take(usize::try_from(count.unwrap_or(u64::MAX)).unwrap()) {
        if began.elapsed() >= budget {
            break;
        }
        check_seed(seed, &kinds);
        done += 1;
    }
    println!("{done} histories from seed {from} in {:?}", began.elapsed());
}

#[test]
fn seeds_that_failed_before_keep_all_promises() {
    let kinds = in_force();
    let lines = SEEDS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    for line in lines {
        let seed = line.split_whitespace().next().unwrap();
        check_seed(seed.parse().unwrap(), &kinds);
    }
}

#[test]
fn same_seed_is_the_same_history() {
    let kinds = in_force();
    assert_eq!(History::from_seed(7, &kinds), History::from_seed(7, &kinds));
    assert!(History::from_seed(7, &[]).steps.iter().all(|step| step.kind().is_none()));
}

fn check_seed(seed: u64, kinds: &[kinds::Kind]) {
    let history = History::from_seed(seed, kinds);
    let Err(violation) = run(&history) else { return };
    let (short, last) = shrink(&history, &violation);
    let steps: Vec<_> = history.steps.iter().map(|step| format!("  {step:?}\n")).collect();
    let left: Vec<_> = short.steps.iter().map(|step| format!("  {step:?}\n")).collect();
    panic!(
        "seed {seed}, {:?}, {:?}: {violation}\n{}shortened to {} steps: {last}\n{}",
        history.flush,
        history.rules,
        steps.concat(),
        left.len(),
        left.concat()
    );
}

fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Runs of neighbouring moments do not overlap.
    u64::try_from(now.as_micros()).unwrap() << 8
}
