//! Runs histories, and drops steps of one that fails as long as it fails.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::history::History;
use crate::ledger::Violation;
use crate::world::World;

/// Most runs that shortening may take.
const RUNS_MAX: usize = 3_000;

/// Lives through a history; a panic is a violation as well.
pub(crate) fn run(history: &History) -> Result<(), Violation> {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(history)?;
        for step in &history.steps {
            world.apply(step)?;
        }
        world.finish()
    }));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// A shorter history that fails, and how.
pub(crate) fn shrink(history: &History, violation: &str) -> (History, Violation) {
    let hook = take_hook();
    // Panics of the runs to come say nothing new.
    set_hook(Box::new(|_| {}));
    let found = drop_steps(history, violation);
    set_hook(hook);
    found
}

fn drop_steps(history: &History, violation: &str) -> (History, Violation) {
    let mut best = (history.clone(), violation.to_owned());
    let mut chunk = history.steps.len().div_ceil(2).max(1);
    let mut runs = 0;
    loop {
        let before = best.0.steps.len();
        let mut at = 0;
        while at < best.0.steps.len() && runs < RUNS_MAX {
            let mut shorter = best.0.clone();
            let end = (at + chunk).min(shorter.steps.len());
            shorter.steps.drain(at..end);
            runs += 1;
            match run(&shorter) {
                Err(violation) => best = (shorter, violation),
                Ok(()) => at += chunk,
            }
        }
        if runs >= RUNS_MAX || (chunk == 1 && best.0.steps.len() == before) {
            return best;
        }
        chunk = (chunk / 2).max(1);
    }
}
