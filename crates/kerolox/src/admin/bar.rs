//! Progress of long work, on standard error and only for somebody who looks at it.

use std::io::{IsTerminal, stderr, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TEMPLATE: &str = "{msg} [{bar:32}] {human_pos}/{human_len}, {eta} left";

/// A bar that goes away when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar over so many `things` for work that prints nothing until its end.
    pub(super) fn silent(things: &'static str, total: usize) -> Self {
        Self::on(things, total, stderr().is_terminal())
    }

    /// The same for work that prints on its way: on a terminal its lines are progress enough.
    pub(super) fn printing(things: &'static str, total: usize) -> Self {
        Self::on(things, total, stderr().is_terminal() && !stdout().is_terminal())
    }

    fn on(things: &'static str, total: usize, seen: bool) -> Self {
        let target = if seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        let style = ProgressStyle::with_template(TEMPLATE).expect("the constant is a legal template");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(things);
        Self(bar)
    }

    /// There is so much more to do than thought.
    pub(super) fn more(&self, things: i64) {
        self.0.inc_length(u64::try_from(things).unwrap_or_default());
    }

    /// So much more is done.
    pub(super) fn done(&self, things: i64) {
        self.0.inc(u64::try_from(things).unwrap_or_default());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
