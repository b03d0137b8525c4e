//! The report of a check: a line for each finding, or JSON with stable ids.

use std::fmt::Write as _;

use kerolox_store::inspect::{Directory, Finding, Kind, Report, Severity};
use serde_json::{Value, json};

use crate::logging::escaped;

/// Lines for people.
pub(super) fn text(dir: &Directory, report: &Report) -> String {
    let mut out = String::new();
    let r = report;
    let _ =
        writeln!(out, "log: {} files, {} records, offsets {} to {}", r.log_files, r.records, r.log_begin, r.log_end);
    let _ = writeln!(out, "queues: {}, {} units; key index: {} files", r.queues, r.units, r.index_files);
    for kind in kinds(report) {
        for finding in report.findings.of(kind) {
            let _ = writeln!(out, "{}", line(dir, finding));
        }
        let shown = report.findings.of(kind).count() as u64;
        let more = report.findings.count(kind).saturating_sub(shown);
        if more > 0 {
            let _ = writeln!(out, "{} {}: {more} more", word(kind), kind.id());
        }
    }
    let (damage, notes) = totals(report);
    let _ = match damage {
        0 => writeln!(out, "nothing is damaged; {notes} notes"),
        _ => writeln!(out, "{damage} findings, {notes} notes"),
    };
    out
}

/// JSON for programs.
pub(super) fn json(dir: &Directory, report: &Report) -> String {
    let findings: Vec<Value> =
        kinds(report).flat_map(|kind| report.findings.of(kind)).map(|finding| object(dir, finding)).collect();
    let counts: serde_json::Map<String, Value> =
        report.findings.counts().map(|(kind, count)| (kind.id().to_owned(), count.into())).collect();
    let value = json!({
        "directory": dir.root,
        "commitLog": dir.commit_log,
        "clean": report.findings.is_clean(),
        "log": {
            "files": report.log_files,
            "records": report.records,
            "begin": report.log_begin,
            "end": report.log_end,
        },
        "queues": {"count": report.queues, "units": report.units, "damaged": report.damaged_queues},
        "index": {"files": report.index_files},
        "counts": counts,
        "findings": findings,
    });
    format!("{value:#}\n")
}

/// Damage and notes, counted.
pub(super) fn totals(report: &Report) -> (u64, u64) {
    report.findings.counts().fold((0, 0), |(damage, notes), (kind, count)| match kind.severity() {
        Severity::Damage => (damage + count, notes),
        Severity::Note => (damage, notes + count),
    })
}

/// Kinds that were found, damage first.
fn kinds(report: &Report) -> impl Iterator<Item = Kind> {
    let mut kinds: Vec<Kind> = report.findings.counts().map(|(kind, _)| kind).collect();
    kinds.sort_by_key(|kind| (kind.severity(), *kind));
    kinds.into_iter()
}

fn word(kind: Kind) -> &'static str {
    match kind.severity() {
        Severity::Damage => "DAMAGE",
        Severity::Note => "note  ",
    }
}

/// What, where, how much, and what mends it.
fn line(dir: &Directory, finding: &Finding) -> String {
    let kind = finding.kind;
    let mut line = format!("{} {}: {}", word(kind), kind.id(), finding.path.display());
    match (finding.offset, finding.length) {
        (Some(offset), Some(length)) if length > 0 => {
            let _ = write!(line, ", {length} {} at {offset}", unit(kind));
        }
        (Some(offset), _) => {
            let _ = write!(line, ", at {offset}");
        }
        (None, _) => {}
    }
    let _ = write!(line, ": {}; {}", finding.why, remedy(dir, kind));
    escaped(&line)
}

/// What lengths and offsets of a kind count.
fn unit(kind: Kind) -> &'static str {
    match kind.id().split('.').next() {
        Some("queue" | "offsets" | "delay") => "messages",
        _ => "bytes",
    }
}

fn remedy(dir: &Directory, kind: Kind) -> String {
    kind.remedy().sentence().replace("DIR", &dir.root.display().to_string())
}

fn object(dir: &Directory, finding: &Finding) -> Value {
    let kind = finding.kind;
    json!({
        "id": kind.id(),
        "severity": match kind.severity() { Severity::Damage => "damage", Severity::Note => "note" },
        "path": finding.path,
        "offset": finding.offset,
        "length": finding.length,
        "unit": finding.length.map(|_| unit(kind)),
        "why": finding.why,
        "remedy": kind.remedy().id(),
        "mends": remedy(dir, kind),
    })
}
