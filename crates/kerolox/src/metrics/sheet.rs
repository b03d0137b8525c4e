//! Where figures are written: families of series, one after another, in whatever form they leave.

use std::fmt;

use kerolox_store::TimesRead;

use super::{Figures, broker, namesrv, process};

/// Names and values of a series' labels.
pub(crate) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// What a figure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, until a restart.
    Counter,
    /// It may also fall.
    Gauge,
}

impl Kind {
    pub(crate) const fn of(grows: bool) -> Self {
        if grows { Self::Counter } else { Self::Gauge }
    }
}

/// Takes families of series.
pub(crate) trait Sheet {
    /// A family of counters or gauges. Names of counters have no `_total`.
    fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result;

    /// A histogram of seconds.
    fn histogram(&mut self, name: &str, help: &str, read: &TimesRead) -> fmt::Result;
}

/// Writes all figures, and those of the process.
pub(crate) fn write(figures: &Figures, sheet: &mut impl Sheet) -> fmt::Result {
    let version = [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)];
    sheet.family("kerolox_build", "Release of this node", Kind::Gauge, version)?;
    if let Some(figures) = &figures.broker {
        broker::write(figures, sheet)?;
    }
    if let Some(figures) = &figures.namesrv {
        namesrv::write(figures, sheet)?;
    }
    for (name, help, value) in &figures.exports {
        sheet.family(name, help, Kind::Counter, [(vec![], *value as f64)])?;
    }
    for (name, help, grows, value) in process::rows() {
        sheet.family(name, help, Kind::of(grows), [(vec![], value)])?;
    }
    Ok(())
}
