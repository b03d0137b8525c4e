//! `kerolox store`: inspects, repairs and prints the data directory of a broker that does not run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use kerolox_store::disk::RealDisk;
use kerolox_store::inspect::{self, Directory};

mod bar;
mod dump;
mod lock;
mod repair;
mod report;

use bar::Bar;
use lock::Holder;

/// Exit code of a check that found damage, and of a repair that left some.
const FOUND: u8 = 1;
/// Exit code when nothing could be said or done.
const FAILED: u8 = 2;

/// Commands on a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Compare log, queues, key index, checkpoint, tables and timers; nothing is changed. Exit code 1 when something is
    /// damaged, 2 when the directory cannot be read
    Check(CheckArgs),
    /// Set aside what does not fit the log, so that the broker's next start derives it again; what is changed is kept in
    /// DIR/repair-TIME
    Repair(RepairArgs),
    /// Print the records of the log, a line each
    Dump(DumpArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The store's root, with consumequeue and checkpoint in it (storePathRootDir)
    dir: PathBuf,
    /// Folder of the log, if it is not DIR/commitlog (storePathCommitLog)
    #[arg(long = "commitlog", value_name = "DIR")]
    commit_log: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people
    Text,
    /// JSON for programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    place: Place,
    /// How the report is printed
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    place: Place,
    /// Add the topics of all queues on the disk to config/topics.json
    #[arg(long, conflicts_with = "forget_log")]
    topics: bool,
    /// The log is gone for good: set aside queues, index, checkpoint, timers and offsets, so that the broker starts with
    /// an empty one
    #[arg(long)]
    forget_log: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    place: Place,
    /// Log offset to begin at; without it the log's first
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Records to print at most
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Only records of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only records of this queue number
    #[arg(long)]
    queue: Option<u32>,
    /// How records are printed: one line, or one JSON object in a line
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Print bodies as well, inflated where they are zlib
    #[arg(long)]
    body: bool,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    #[error("{} holds no store: neither commitlog nor consumequeue is in it", .0.display())]
    NoStore(PathBuf),
    #[error("{} is in use by {by}: stop the broker first (mqshutdown broker)", dir.display())]
    InUse { dir: PathBuf, by: Holder },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Runs one of the commands.
pub(crate) fn run(command: StoreCommand) -> ExitCode {
    let done = match command {
        StoreCommand::Check(args) => check(&args),
        StoreCommand::Repair(args) => repair::run(&args),
        StoreCommand::Dump(args) => dump::run(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            let _ = writeln!(io::stderr(), "{}", crate::logging::escaped(&why.to_string()));
            ExitCode::from(FAILED)
        }
    }
}

impl Place {
    /// The directory, when there is a store in it.
    fn directory(&self) -> Result<Directory, Failure> {
        if !self.dir.is_dir() {
            return Err(Failure::NoDirectory(self.dir.clone()));
        }
        if let Some(log) = self.commit_log.as_ref().filter(|log| !log.is_dir()) {
            return Err(Failure::NoDirectory(log.clone()));
        }
        let usual = Directory::at(&self.dir);
        let any = usual.commit_log.is_dir() || self.dir.join("consumequeue").is_dir() || self.commit_log.is_some();
        if !any {
            return Err(Failure::NoStore(self.dir.clone()));
        }
        let commit_log = self.commit_log.clone().unwrap_or(usual.commit_log);
        Ok(Directory { root: usual.root, commit_log })
    }
}

fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let dir = args.place.directory()?;
    refuse_in_use(&dir.root)?;
    let report = inspect::check(&RealDisk, &dir, &mut Bar::new()).map_err(Failure::io(&dir.root))?;
    // What a broker wrote meanwhile looks like damage.
    refuse_in_use(&dir.root)?;
    let text = match args.output {
        Output::Text => report::text(&dir, &report),
        Output::Json => report::json(&dir, &report),
    };
    say(&text);
    Ok(if report.findings.is_clean() { 0 } else { FOUND })
}

fn refuse_in_use(root: &Path) -> Result<(), Failure> {
    match lock::holder(root).map_err(Failure::io(root))? {
        Some(by) => Err(Failure::InUse { dir: root.to_path_buf(), by }),
        None => Ok(()),
    }
}

/// Prints lines; a reader that went away ends nothing but the printing.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
