//! Histories: what happens to a store, step by step, as a seed decides.

use kerolox_store::FlushMode;
use kerolox_store::disk::sim::{DiskOp, Loss};

use crate::kinds::Kind;
use crate::random::Random;

pub(crate) const TOPICS: [&str; 3] = ["T", "%DLQ%g", "a-b_c"];
pub(crate) const QUEUES: u32 = 2;

/// A topic's number and a queue of it.
pub(crate) type QueueKey = (usize, u32);

/// Whether a message enters its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Prepared,
    RolledBack,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Messages as queue, bytes behind the number, and form; one batch.
    Append(Vec<(QueueKey, usize, Form)>),
    /// Messages of one queue that stay together.
    Group(QueueKey, Vec<usize>),
    /// A batch that is laid out now and appended by `AppendPlanned`.
    Plan(QueueKey, usize),
    AppendPlanned,
    Dispatch,
    Flush,
    Checkpoint,
    /// Reads as a consumer does that goes on at the offset it was told.
    Read(QueueKey),
    /// Looks at everything, if no fault is in force.
    Check,
    Delete(usize, Settled),
    CleanExpired,
    /// All is older than retention allows.
    Expire,
    Crash(Loss),
    Restart,
    /// The machine stops within the n-th operation from here on.
    Stop(u64, Loss),
    /// As `Crash`, and the next starts stop within their n-th operation.
    CrashInRecovery(Loss, Vec<(u64, Loss)>),
    /// The n-th operation from here on fails once.
    FailOnce(u64),
    /// So many operations fail with an error of the system, after some that pass.
    Fail {
        op: DiskOp,
        errno: i32,
        after: u64,
        times: u64,
    },
    /// The disk has room for so many more pages.
    Fill(u64),
    /// Faults end, and there is room.
    Heal,
    /// Inverts a bit of the message that so many were sent before.
    Flip {
        back: usize,
        place: Place,
        at: usize,
        bit: u8,
    },
}

/// Whether all messages are dispatched before a topic is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Yes,
    No,
}

/// A part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Body,
    Header,
}

impl Step {
    /// The kind that has to be in force for the step; `None` for those that always are.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Plan(..) | Self::AppendPlanned => Kind::PlannedBatch,
            Self::Delete(_, Settled::Yes) => Kind::Delete,
            Self::Delete(_, Settled::No) => Kind::DeleteOnTheWay,
            Self::CleanExpired => Kind::CleanExpired,
            Self::Expire => Kind::Expire,
            Self::Crash(Loss::Nothing) => Kind::Kill,
            Self::Crash(Loss::Everything) => Kind::Power,
            Self::Crash(Loss::Torn(_)) => Kind::Torn,
            Self::Restart => Kind::Restart,
            Self::Stop(..) => Kind::Stop,
            Self::CrashInRecovery(..) => Kind::StopInRecovery,
            Self::FailOnce(_) => Kind::FailOnce,
            Self::Fail { op, .. } => match op {
                DiskOp::Open => Kind::OpenFails,
                DiskOp::Create => Kind::CreateFails,
                DiskOp::Read | DiskOp::List => Kind::ReadFails,
                DiskOp::Write => Kind::WriteFails,
                DiskOp::Sync | DiskOp::SyncDir => Kind::SyncFails,
                DiskOp::Rename => Kind::RenameFails,
            },
            Self::Fill(_) => Kind::FullDisk,
            Self::Flip { place: Place::Body, .. } => Kind::FlipBody,
            Self::Flip { place: Place::Header, .. } => Kind::FlipHeader,
            _ => return None,
        })
    }

    /// Losses that the step may bring, each of which needs its kind.
    fn losses(&self) -> Vec<Loss> {
        match self {
            Self::Stop(_, loss) => vec![*loss],
            Self::CrashInRecovery(loss, more) => {
                more.iter().map(|(_, loss)| *loss).chain(std::iter::once(*loss)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn is_in_force(&self, kinds: &[Kind]) -> bool {
        let own = self.kind().is_none_or(|kind| kinds.contains(&kind));
        own && self.losses().into_iter().all(|loss| Self::Crash(loss).is_in_force(kinds))
    }
}

/// What holds all through a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// New folders are durable only once their parents are synced.
    pub(crate) new_dirs: bool,
    /// With `FlushMode::Sync` only what is durable may be served.
    pub(crate) sync_visible: bool,
    /// What ends the last life of the store.
    pub(crate) last_loss: Loss,
}

/// What happens to one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) flush: FlushMode,
    pub(crate) rules: Rules,
    pub(crate) steps: Vec<Step>,
}

impl History {
    /// The history of a seed, without what is not in force.
    pub(crate) fn from_seed(seed: u64, kinds: &[Kind]) -> Self {
        let mut random = Random::new(seed);
        let flush = if random.one_in(2) { FlushMode::Sync } else { FlushMode::Async };
        let rules = Rules {
            new_dirs: random.one_in(2) && kinds.contains(&Kind::NewDirs),
            sync_visible: kinds.contains(&Kind::SyncVisible),
            last_loss: if kinds.contains(&Kind::Power) { Loss::Everything } else { Loss::Nothing },
        };
        // Few kinds of trouble in one history, so that it lives on to meet them.
        let trouble = 2 + random.below(8);
        let count = 5 + random.index(45);
        let mut steps: Vec<_> = (0..count)
            .map(|_| if random.below(20) < trouble { event(&mut random) } else { work(&mut random) })
            .collect();
        steps.retain(|step| step.is_in_force(kinds));
        Self { flush, rules, steps }
    }
}

fn queue(random: &mut Random) -> QueueKey {
    (random.index(TOPICS.len()), u32::try_from(random.below(QUEUES.into())).unwrap())
}

fn loss(random: &mut Random) -> Loss {
    match random.below(4) {
        0 => Loss::Nothing,
        1 => Loss::Everything,
        _ => Loss::Torn(random.next()),
    }
}

fn message(random: &mut Random) -> (QueueKey, usize, Form) {
    let form = match random.below(8) {
        0 => Form::Prepared,
        1 => Form::RolledBack,
        _ => Form::Plain,
    };
    let len_max = if random.one_in(3) { 900 } else { 60 };
    (queue(random), random.index(len_max), form)
}

fn work(random: &mut Random) -> Step {
    match random.below(20) {
        0..=6 => Step::Append((0..=random.below(5)).map(|_| message(random)).collect()),
        7 | 8 => Step::Group(queue(random), (0..=random.below(6)).map(|_| random.index(300)).collect()),
        9 => Step::Plan(queue(random), random.index(300)),
        10 => Step::AppendPlanned,
        11..=13 => Step::Dispatch,
        14 => Step::Flush,
        15 => Step::Checkpoint,
        16 => Step::Check,
        _ => Step::Read(queue(random)),
    }
}

fn event(random: &mut Random) -> Step {
    match random.below(20) {
        0 => Step::Delete(random.index(TOPICS.len()), Settled::Yes),
        1 | 2 => Step::Delete(random.index(TOPICS.len()), Settled::No),
        3 => Step::CleanExpired,
        4 => Step::Expire,
        5 | 6 => Step::Crash(loss(random)),
        7 => Step::Restart,
        8 | 9 => Step::Stop(random.below(40), loss(random)),
        10 => {
            let more = (0..=random.below(2)).map(|_| (random.below(25), loss(random))).collect();
            Step::CrashInRecovery(loss(random), more)
        }
        11 => Step::FailOnce(random.below(30)),
        12..=14 => failure(random),
        15 => Step::Fill(random.below(8)),
        16 | 17 => Step::Heal,
        _ => Step::Flip {
            back: random.index(20),
            place: if random.one_in(2) { Place::Body } else { Place::Header },
            at: random.index(1000),
            bit: u8::try_from(random.below(8)).unwrap(),
        },
    }
}

/// Errors that systems give: 5 is an I/O error, 24 too many open files, 28 no space.
fn failure(random: &mut Random) -> Step {
    let (op, errno) = [
        (DiskOp::Read, 5),
        (DiskOp::Read, 5),
        (DiskOp::List, 5),
        (DiskOp::Open, 24),
        (DiskOp::Create, 28),
        (DiskOp::Create, 24),
        (DiskOp::Write, 28),
        (DiskOp::Write, 5),
        (DiskOp::Sync, 5),
        (DiskOp::Sync, 28),
        (DiskOp::SyncDir, 5),
        (DiskOp::Rename, 5),
    ][random.index(12)];
    Step::Fail { op, errno, after: random.below(12), times: 1 + random.below(6) }
}
