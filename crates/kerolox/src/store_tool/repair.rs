//! `kerolox store repair`: says what it will do, takes the directory's lock, and moves what does not fit into a folder of
//! its own. It derives nothing itself: the broker's next start does, from the log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kerolox_store::checkpoint::Checkpoint;
use kerolox_store::disk::{Disk, RealDisk};
use kerolox_store::inspect::{self, Directory, Findings, Kind, LogFiles, Remedy, Report, topics_from_queues};
use kerolox_wire::body::to_json_pretty;
use kerolox_wire::clock::Clock;

use super::bar::Bar;
use super::lock::Holder;
use super::{FOUND, Failure, RepairArgs, refuse_in_use, say};
use crate::clock::SystemClock;
use crate::logging::escaped;

/// What knows of a log, below the root: set aside when the log is forgotten.
const OF_THE_LOG: &[&str] = &[
    "checkpoint",
    "abort",
    "consumequeue",
    "consumequeue_ext",
    "batchconsumequeue",
    "index",
    "timer",
    "timerwheel",
    "timerlog",
    "config/timercheck",
    "config/timercheck.bak",
    "config/consumerOffset.json",
    "config/consumerOffset.json.bak",
    "config/delayOffset.json",
    "config/delayOffset.json.bak",
];

/// Damage at which a start that reads the whole log may end it, or fail.
const LOG_DAMAGE: &[Kind] = &[Kind::LogDamaged, Kind::LogUnreadable, Kind::LogFileGap, Kind::LogFileSize];

/// One step of a repair.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Moves a file or folder below the root into the folder of this repair.
    Aside(PathBuf),
    /// Keeps a copy of a file in the folder of this repair.
    Copy(PathBuf),
    /// Replaces the text of a file.
    Write(PathBuf, String),
    /// Makes the empty file that makes the next start read the whole log.
    Abort,
}

/// What a repair will do, and what it tells besides.
#[derive(Debug, Default)]
struct Plan {
    steps: Vec<Step>,
    /// Sentences on the outcome.
    notes: Vec<String>,
    /// Damage stays that no repair mends.
    incomplete: bool,
}

/// Runs a repair.
pub(super) fn run(args: &RepairArgs) -> Result<u8, Failure> {
    let dir = args.place.directory()?;
    refuse_in_use(&dir.root)?;
    // A rehearsal makes nothing, not even the lock file.
    let _lock = if args.dry_run { None } else { Some(take_lock(&dir.root)?) };
    let now_ms = SystemClock::new().wall_ms();
    let plan = if args.topics {
        topics(&dir, now_ms)?
    } else if args.forget_log {
        forget_log(&dir, args.place.commit_log.is_some())?
    } else {
        let report = inspect::check(&RealDisk, &dir, &mut Bar::new()).map_err(Failure::io(&dir.root))?;
        derive_again(&dir, &report)?
    };
    let folder = folder(&dir.root, now_ms);
    tell(&plan, &dir.root, &folder);
    if !args.dry_run {
        carry_out(&plan.steps, &dir.root, &folder)?;
    }
    let end = match (plan.steps.is_empty(), args.dry_run) {
        (true, _) => "Nothing was changed.".to_owned(),
        (false, true) => "Nothing was changed: this was a dry run.".to_owned(),
        (false, false) => format!("Done. What was changed is kept in {}.", folder.display()),
    };
    say(&escaped_line(&end));
    Ok(if plan.incomplete { FOUND } else { 0 })
}

fn take_lock(root: &Path) -> Result<Box<dyn std::any::Any + Send>, Failure> {
    let path = root.join("lock");
    RealDisk.lock(&path).map_err(|why| match why.kind() {
        io::ErrorKind::WouldBlock => Failure::InUse { dir: root.to_path_buf(), by: Holder::UNKNOWN },
        _ => Failure::Io { path, source: why },
    })
}

/// Sets aside what the next start can derive from the log.
fn derive_again(dir: &Directory, report: &Report) -> Result<Plan, Failure> {
    let found = &report.findings;
    if found.count(Kind::LogMissing) > 0 {
        return Err(Failure::Refused(format!(
            "{} has no log, so nothing can be derived: {}",
            dir.commit_log.display(),
            Remedy::ForgetLog.sentence().replace("DIR", &dir.root.display().to_string())
        )));
    }
    let mut plan = Plan::default();
    if found.calls_for(Remedy::Repair) {
        set_aside(dir, report, &mut plan);
    }
    for remedy in [Remedy::NextStart, Remedy::RepairTopics, Remedy::Backup, Remedy::Operator] {
        if found.calls_for(remedy) {
            plan.notes.push(left(dir, report, remedy));
            plan.incomplete |= remedy != Remedy::NextStart;
        }
    }
    Ok(plan)
}

/// Plans the moves. A start that reads the whole log may end it at the first damage (4.7.1 always does), so nothing that
/// calls for such a start is done to a damaged log.
fn set_aside(dir: &Directory, report: &Report, plan: &mut Plan) {
    let found = &report.findings;
    let derived = |prefix: &str| {
        let mut kinds = found.counts().map(|(kind, _)| kind).filter(|kind| kind.remedy() == Remedy::Repair);
        kinds.any(|kind| kind.id().starts_with(prefix))
    };
    let log_is_whole = LOG_DAMAGE.iter().all(|kind| found.count(*kind) == 0);
    let mut aside = Vec::new();
    if log_is_whole {
        plan.steps.push(Step::Abort);
        aside.push(dir.root.join("checkpoint"));
        aside.extend(report.damaged_queues.iter().cloned());
        plan.notes.push("the next start reads the whole log and derives what is set aside".into());
    } else if derived("queue.") || derived("checkpoint.") {
        plan.incomplete = true;
        plan.notes.push(
            "queues and checkpoint are left as they are: a start that derives them reads the whole log, and may end it \
             at the first damage"
                .into(),
        );
    }
    for (prefix, folder) in [("index.", "index"), ("timers.", "timer")] {
        if derived(prefix) {
            aside.push(dir.root.join(folder));
        }
    }
    plan.steps.extend(aside.into_iter().filter(|path| path.exists()).map(Step::Aside));
    if log_is_whole && found.count(Kind::QueueDeletedTopic) > 0 {
        plan.notes
            .push("the log has records of deleted topics: their queues come back, and can be deleted again".into());
    }
}

/// What this repair leaves, and what mends it.
fn left(dir: &Directory, report: &Report, remedy: Remedy) -> String {
    let counts = report.findings.counts().filter(|(kind, _)| kind.remedy() == remedy);
    let damage = counts.filter(|(kind, _)| kind.severity() == inspect::Severity::Damage);
    let kinds: Vec<String> = damage.map(|(kind, count)| format!("{count} {}", kind.id())).collect();
    format!("{}: {}", kinds.join(", "), remedy.sentence().replace("DIR", &dir.root.display().to_string()))
}

/// Adds the topics of the queues on the disk to the table.
fn topics(dir: &Directory, now_ms: i64) -> Result<Plan, Failure> {
    let path = dir.root.join("config").join("topics.json");
    let mut topics = topics_from_queues(&RealDisk, &dir.root).map_err(Failure::io(&dir.root))?;
    let mut notes = Vec::new();
    if let Some(why) = &topics.unreadable {
        notes.push(format!("{} cannot be read ({why}): topics without queues are lost", path.display()));
    } else if topics.added.is_empty() {
        notes.push(format!("{} has the topics of all queues", path.display()));
        return Ok(Plan { notes, ..Plan::default() });
    }
    topics.table.data_version = topics.table.data_version.next(now_ms);
    let added = topics.added.iter();
    notes.extend(added.map(|(topic, queues)| format!("adds {topic} with {queues} queues, readable and writable")));
    notes.push("other settings of these topics are not known; mqadmin updateTopic changes them".into());
    let backup = path.with_extension("json.bak");
    let present = [&path, &backup].into_iter().filter(|path| path.exists());
    let mut steps: Vec<Step> = present.cloned().map(Step::Copy).collect();
    steps.push(Step::Write(path, to_json_pretty(&topics.table)));
    Ok(Plan { steps, notes, incomplete: false })
}

/// Sets aside whatever knows of a log that is gone for good.
fn forget_log(dir: &Directory, named: bool) -> Result<Plan, Failure> {
    let log = &dir.commit_log;
    if !log.is_dir() && !named {
        let why = format!("{} does not exist: name the log's folder with --commitlog", log.display());
        return Err(Failure::Refused(why));
    }
    let files = LogFiles::find(&RealDisk, log, &mut Findings::default()).map_err(Failure::io(log))?;
    if let Some(first) = files.files().first() {
        return Err(Failure::Refused(format!(
            "{} has {} log files, from {} on: the log is there and is not forgotten. Move them away first if they shall go",
            log.display(),
            files.files().len(),
            first.base
        )));
    }
    let present = OF_THE_LOG.iter().map(|name| dir.root.join(name)).filter(|path| path.exists());
    let steps: Vec<Step> = present.map(Step::Aside).collect();
    let notes = match steps.is_empty() {
        true => vec!["nothing here knows of a log".to_owned()],
        false => vec![
            "the next start begins with an empty log; topics and groups stay, consumers begin anew".to_owned(),
            format!("last checkpoint: {}", last_checkpoint(&dir.root)),
        ],
    };
    Ok(Plan { steps, notes, incomplete: false })
}

fn last_checkpoint(root: &Path) -> String {
    match Checkpoint::load(&RealDisk, &root.join("checkpoint")) {
        Ok(saved) if saved.log_ms > 0 => format!("messages stored until {} ms since 1970", saved.log_ms),
        _ => "none".to_owned(),
    }
}

/// Folder of what this repair changes, not there yet.
fn folder(root: &Path, now_ms: i64) -> PathBuf {
    let name = match jiff::Timestamp::from_millisecond(now_ms) {
        Ok(time) => time.strftime("repair-%Y%m%dT%H%M%SZ").to_string(),
        Err(_) => format!("repair-{now_ms}"),
    };
    let mut folder = root.join(&name);
    let mut number = 1;
    while folder.exists() {
        number += 1;
        folder = root.join(format!("{name}-{number}"));
    }
    folder
}

fn tell(plan: &Plan, root: &Path, folder: &Path) {
    for step in &plan.steps {
        let line = match step {
            Step::Aside(path) => format!("move {} to {}", path.display(), kept(path, root, folder).display()),
            Step::Copy(path) => format!("copy {} to {}", path.display(), kept(path, root, folder).display()),
            Step::Write(path, _) => format!("write {}", path.display()),
            Step::Abort => format!("make {}, so that the next start reads the whole log", root.join("abort").display()),
        };
        say(&escaped_line(&line));
    }
    for note in &plan.notes {
        say(&escaped_line(&format!("note: {note}")));
    }
}

fn escaped_line(line: &str) -> String {
    escaped(line) + "\n"
}

/// Where a file or folder below the root is kept.
fn kept(path: &Path, root: &Path, folder: &Path) -> PathBuf {
    folder.join(path.strip_prefix(root).unwrap_or(path))
}

fn carry_out(steps: &[Step], root: &Path, folder: &Path) -> Result<(), Failure> {
    for step in steps {
        match step {
            Step::Aside(path) => move_to(path, &kept(path, root, folder)).map_err(Failure::io(path))?,
            Step::Copy(path) => copy_to(path, &kept(path, root, folder)).map_err(Failure::io(path))?,
            Step::Write(path, text) => write(path, text).map_err(Failure::io(path))?,
            Step::Abort => make_empty(&root.join("abort")).map_err(Failure::io(root))?,
        }
    }
    Ok(())
}

/// Moves a file or folder and makes that durable.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    make_parent(to)?;
    match fs::rename(from, to) {
        // A folder mounted below the root cannot be renamed out of its file system.
        Err(why) if why.kind() == io::ErrorKind::CrossesDevices => {
            copy_all(from, to)?;
            if from.is_dir() { fs::remove_dir_all(from)? } else { fs::remove_file(from)? }
        }
        moved => moved?,
    }
    sync_parent(to)?;
    sync_parent(from)
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return copy_to(from, to);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy_all(&from.join(&name), &to.join(&name))?;
    }
    RealDisk.sync_dir(to)
}

fn copy_to(from: &Path, to: &Path) -> io::Result<()> {
    make_parent(to)?;
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()?;
    sync_parent(to)
}

/// Replaces a text; a crash leaves the old or the new one. The previous text stays as it is: what is replaced here may be
/// damaged.
fn write(path: &Path, text: &str) -> io::Result<()> {
    make_parent(path)?;
    let temporary = path.with_extension("json.tmp");
    fs::write(&temporary, text)?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

fn make_empty(path: &Path) -> io::Result<()> {
    if !path.exists() {
        fs::File::create_new(path)?.sync_all()?;
    }
    sync_parent(path)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| RealDisk.sync_dir(parent))
}
