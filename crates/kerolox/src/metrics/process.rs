//! What the kernel says of this process, under the names that every exporter uses.

use std::fs;

/// Ticks of a second in `/proc/self/stat`, on every Linux.
const TICKS: f64 = 100.0;

/// Name, help, whether it only grows, value.
pub(super) type Row = (&'static str, &'static str, bool, f64);

/// Figures of this process; none where the kernel does not tell.
pub(super) fn rows() -> Vec<Row> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut rows = from_stat(&stat).unwrap_or_default();
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        rows.push(("process_open_fds", "Open file descriptors", false, open.count() as f64));
    }
    rows
}

/// Processor time, memory and threads. The name of the program, in parentheses, may have blanks in it.
fn from_stat(stat: &str) -> Option<Vec<Row>> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Numbered from 3 in proc_pid_stat(5), the first after the name.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let page = rustix::param::page_size() as f64;
    Some(vec![
        ("process_cpu_seconds", "Processor time used", true, (field(14)? + field(15)?) / TICKS),
        ("process_resident_memory_bytes", "Memory in use", false, field(24)? * page),
        ("process_threads", "Threads", false, field(20)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let mut stat = "7 (a b) c) S".to_owned();
        for number in 4..=24 {
            stat.push_str(&format!(" {number}"));
        }
        let rows = from_stat(&stat).unwrap();
        assert!((rows[0].3 - 0.29).abs() < 1e-9 && (rows[2].3 - 20.0).abs() < 1e-9);
        assert!((rows[1].3 / rustix::param::page_size() as f64 - 24.0).abs() < 1e-9);
        assert_eq!(from_stat("nothing"), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(rows().iter().any(|(name, .., value)| *name == "process_resident_memory_bytes" && *value > 1e6));
    }
}
