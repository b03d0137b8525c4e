//! Rules about the machine: the kernel settings and limits that matter to a broker, which keeps its log in the page
//! cache and maps files into memory.

use super::{Findings, HostFacts};

/// What a kernel setting should be.
enum Want {
    AtLeast(i64),
    AtMost(i64),
    Exactly(i64),
}

/// Kernel settings: what each should be, which value to set, and why. RocketMQ's `os.sh` sets the same ones.
const KERNEL: &[(&str, Want, i64, &str)] = &[
    ("vm.max_map_count", Want::AtLeast(655_360), 655_360, "each mapped file of the store counts"),
    ("vm.swappiness", Want::AtMost(10), 1, "memory of the broker may be swapped out to keep file pages"),
    ("vm.overcommit_memory", Want::Exactly(1), 1, "large mappings may be refused"),
    ("vm.zone_reclaim_mode", Want::Exactly(0), 0, "file pages are dropped while other memory nodes have room"),
    ("vm.dirty_background_ratio", Want::AtLeast(10), 50, "the kernel starts early to write by itself"),
    ("vm.dirty_ratio", Want::AtLeast(20), 50, "writers are stopped until the kernel has written"),
];
/// The settings to be read.
pub(super) fn kernel_names() -> impl Iterator<Item = &'static str> {
    KERNEL.iter().map(|(name, ..)| *name)
}

/// Files that a broker may have to keep open: connections and files of the store.
const OPEN_FILES_MIN: u64 = 65_535;
/// The value that is set.
const OPEN_FILES_GOOD: u64 = 655_350;
const SUBJECT: &str = "this machine";

pub(super) fn judge(host: &HostFacts, findings: &mut Findings) {
    for (name, want, good, why) in KERNEL {
        let Some(&value) = host.kernel.get(*name) else { continue };
        let (met, text) = match want {
            Want::AtLeast(least) => (value >= *least, format!("at least {least}")),
            Want::AtMost(most) => (value <= *most, format!("at most {most}")),
            Want::Exactly(exact) => (value == *exact, exact.to_string()),
        };
        if !met {
            let remedy =
                format!("sudo sysctl -w {name}={good}; and the line {name}={good} in /etc/sysctl.d/90-rocketmq.conf");
            findings.warning(SUBJECT, format!("{name} is {value}, should be {text}: {why}"), remedy);
        }
    }
    if let Some(files) = host.open_files.filter(|files| *files < OPEN_FILES_MIN) {
        let what = format!("a process may open {files} files, a broker wants at least {OPEN_FILES_MIN}");
        let remedy = format!(
            "the line `* hard nofile {OPEN_FILES_GOOD}` in /etc/security/limits.conf, or LimitNOFILE={OPEN_FILES_GOOD} \
             in the unit; then log in again"
        );
        findings.warning(SUBJECT, what, remedy);
    }
}
