//! `kerolox migrate check`: reads a RocketMQ data directory and its settings, and says what a broker here would make of
//! them. Nothing is written, nothing is locked, so it may run beside the broker that owns the directory.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::config::load::Given;
use crate::config::roles;
use crate::config::table::Role;

/// Magic number of a record of 4.x, and of the blank end of a file.
const MAGICS: [u32; 2] = [0xDAA3_20A7, 0xCBD4_3194];

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is taken as it is.
    Taken,
    /// It is passed over, or differs: worth reading.
    Look,
    /// A broker here would not start with it, or lose something.
    Stop,
}

/// What was found.
#[derive(Debug, Default)]
struct Report(Vec<(Verdict, String)>);

impl Report {
    fn add(&mut self, verdict: Verdict, line: impl Into<String>) {
        self.0.push((verdict, line.into()));
    }

    fn stops(&self) -> usize {
        self.0.iter().filter(|(verdict, _)| *verdict == Verdict::Stop).count()
    }

    fn text(&self) -> String {
        let word = |verdict| match verdict {
            Verdict::Taken => "ok   ",
            Verdict::Look => "look ",
            Verdict::Stop => "STOP ",
        };
        self.0.iter().map(|(verdict, line)| format!("{} {line}\n", word(*verdict))).collect()
    }
}

/// Checks a directory, and a settings file if there is one; 1 when something stands in the way.
pub(crate) fn check(dir: &Path, file: Option<&Path>) -> ExitCode {
    let report = look(dir, file);
    let stops = report.stops();
    let end = match stops {
        0 => "Kerolox can take this directory over: stop the broker with mqshutdown, then start mqbroker on it."
            .to_owned(),
        n => format!("{n} things stand in the way."),
    };
    let _ = writeln!(std::io::stdout(), "{}{end}", report.text());
    if stops == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn look(dir: &Path, file: Option<&Path>) -> Report {
    let mut report = Report::default();
    let log = settings(file, &mut report).unwrap_or_else(|| dir.join("commitlog"));
    let log = if log.is_dir() { log } else { dir.join("commitlog") };
    if !dir.is_dir() {
        report.add(Verdict::Stop, format!("{} is no directory", dir.display()));
        return report;
    }
    commit_log(&log, &mut report);
    derived(dir, &mut report);
    tables(&dir.join("config"), &mut report);
    strangers(dir, &mut report);
    report
}

/// The settings as a broker would read them; the folder of the log that they name.
fn settings(file: Option<&Path>, report: &mut Report) -> Option<PathBuf> {
    let file = file?;
    let given = Given { file: Some(file.to_owned()), variables: Vec::new(), ..Given::here(Role::Broker) };
    match roles::broker(&given) {
        Ok(ready) => {
            report.add(Verdict::Taken, format!("{}: every value is allowed", file.display()));
            for warning in &ready.warnings {
                report.add(Verdict::Look, warning.clone());
            }
            let role = ready.settings.values();
            if role.text("brokerRole") == "SLAVE" || role.text("enableDLegerCommitLog") == "true" {
                report.add(Verdict::Stop, "this version has no replicas: move the primary over");
            }
            Some(ready.typed.store.store_path_commit_log)
        }
        Err(problems) => {
            for problem in problems.0 {
                report.add(Verdict::Stop, problem);
            }
            None
        }
    }
}

/// The files of the log follow one another, are of one size, and begin with records.
fn commit_log(dir: &Path, report: &mut Report) {
    let mut files: Vec<(u64, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let base = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        let (Some(base), Ok(facts)) = (base, entry.metadata()) else { continue };
        files.push((base, facts.len(), entry.path()));
    }
    files.sort();
    let Some((first, size, _)) = files.first().cloned() else {
        report.add(Verdict::Look, format!("{} has no log: the broker would begin with nothing", dir.display()));
        return;
    };
    for (n, (base, len, path)) in files.iter().enumerate() {
        if *len != size {
            report.add(Verdict::Stop, format!("{} has {len} bytes, the others {size}", path.display()));
        }
        if Some(*base) != (n as u64).checked_mul(size).and_then(|offset| first.checked_add(offset)) {
            report.add(Verdict::Stop, format!("{} does not follow the file before it", path.display()));
            break;
        }
        let mut head = [0_u8; 8];
        let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
        let magic = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        match read {
            Ok(()) if MAGICS.contains(&magic) || magic == 0 => {}
            Ok(()) => report.add(Verdict::Stop, format!("{} begins with no record of 4.x", path.display())),
            Err(why) => report.add(Verdict::Stop, format!("{} cannot be read: {why}", path.display())),
        }
    }
    let (count, last) = (files.len(), files.last().map_or(first, |(base, ..)| *base));
    report
        .add(Verdict::Taken, format!("commit log: {count} files of {size} bytes, from offset {first} to file {last}"));
}

fn derived(dir: &Path, report: &mut Report) {
    let count = |path: &Path| fs::read_dir(path).map_or(0, |entries| entries.flatten().count());
    let queues: usize =
        fs::read_dir(dir.join("consumequeue")).into_iter().flatten().flatten().map(|topic| count(&topic.path())).sum();
    let topics = count(&dir.join("consumequeue"));
    report.add(Verdict::Taken, format!("consume queues: {queues} of {topics} topics, used as they are"));
    report.add(Verdict::Taken, format!("key index: {} files, used as they are", count(&dir.join("index"))));
    match fs::metadata(dir.join("checkpoint")) {
        Ok(facts) if facts.len() >= 24 => report.add(Verdict::Taken, "checkpoint: there"),
        _ => report.add(Verdict::Look, "no checkpoint: the first start reads the whole log"),
    }
    if dir.join("abort").exists() {
        let why = "abort: the broker runs, or has not ended in good order; the first start recovers as RocketMQ would";
        report.add(Verdict::Look, why);
    }
}

/// Tables of `config/`, by what stands in them.
fn tables(dir: &Path, report: &mut Report) {
    for (name, part, what) in [
        ("topics.json", "topicConfigTable", "topics"),
        ("subscriptionGroup.json", "subscriptionGroupTable", "consumer groups"),
        ("consumerOffset.json", "offsetTable", "places of groups in topics"),
        ("delayOffset.json", "offsetTable", "delay levels"),
        ("consumerFilter.json", "filterDataByTopic", "topics with filters"),
    ] {
        let path = dir.join(name);
        if !path.exists() {
            report.add(Verdict::Look, format!("config/{name} is not there: no {what}"));
            continue;
        }
        let read = fs::read(&path).map_err(|why| why.to_string());
        let read = read.and_then(|text| kerolox_wire::body::from_json::<Value>(&text).map_err(|why| why.to_string()));
        match read {
            Ok(table) => {
                let count = table.get(part).and_then(Value::as_object).map_or(0, serde_json::Map::len);
                report.add(Verdict::Taken, format!("config/{name}: {count} {what}"));
            }
            Err(why) => report.add(Verdict::Stop, format!("config/{name} cannot be read: {why}")),
        }
    }
}

/// What other versions leave behind.
fn strangers(dir: &Path, report: &mut Report) {
    let found = |name: &str| dir.join(name).exists();
    let dledger = fs::read_dir(dir).into_iter().flatten().flatten();
    if dledger.flat_map(|entry| entry.file_name().into_string()).any(|name| name.starts_with("dledger-")) {
        report.add(Verdict::Stop, "dledger-*: a log kept by Raft has another form; move it to a plain broker first");
    }
    for name in ["consumequeue_r", "config/topics", "config/subscriptionGroups", "config/consumerOffsets"] {
        if found(name) {
            report.add(
                Verdict::Stop,
                format!("{name}: RocketMQ 5.x keeps this in RocksDB; export it to JSON there first"),
            );
        }
    }
    if found("timerwheel") || found("timerlog") {
        let why = "timerwheel, timerlog: not needed; what waits is read from rmq_sys_wheel_timer, see docs/delays.md";
        report.add(Verdict::Look, why);
    }
    if found("compaction") {
        report.add(Verdict::Look, "compaction: compacted topics of 5.x keep all of their messages here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mini() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../kerolox-store/testdata/mini")
    }

    #[test]
    fn a_directory_of_the_reference_is_taken() {
        let report = look(&mini(), None);
        let text = report.text();
        assert_eq!(report.stops(), 0, "{text}");
        assert!(text.contains("ok    commit log: 3 files of 4096 bytes, from offset 0 to file 8192"), "{text}");
        assert!(text.contains("consume queues: 3 of 2 topics"), "{text}");
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (root, log) = (dir.path(), dir.path().join("commitlog"));
        fs::create_dir_all(&log).unwrap();
        fs::create_dir_all(root.join("config")).unwrap();
        fs::create_dir_all(root.join("dledger-n0")).unwrap();
        fs::write(root.join("config/topics.json"), "{ broken").unwrap();
        fs::write(root.join("abort"), "").unwrap();
        fs::write(log.join("00000000000000000000"), [1_u8; 64]).unwrap();
        fs::write(log.join("00000000000000000128"), [0_u8; 32]).unwrap();
        let file = root.join("broker.conf");
        fs::write(&file, "listenPort=none\nbrokerNmae=x\n").unwrap();
        let report = look(root, Some(&file));
        let text = report.text();
        for part in [
            "listenPort",
            "begins with no record of 4.x",
            "has 32 bytes, the others 64",
            "does not follow the file before it",
            "config/topics.json cannot be read",
            "dledger-*",
            "look  abort",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(report.stops(), 6, "{text}");
        assert_eq!(look(&root.join("none"), None).stops(), 1);
    }
}
