//! Progress of an inspection, on standard error and only for a terminal.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kerolox_store::inspect::Progress;

const TEMPLATE: &str = "checking [{bar:32}] {bytes}/{total_bytes}, {eta} left";

/// A bar over bytes that goes away when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template(TEMPLATE).expect("the constant is a legal template");
        bar.set_style(style.progress_chars("=> "));
        Self(bar)
    }
}

impl Progress for Bar {
    fn total(&mut self, bytes: u64) {
        self.0.set_length(bytes);
    }

    fn advance(&mut self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
