//! How much memory there is.

use std::fs;

/// The memory that this process may use, in bytes: the machine's, or what its control group allows. `None` where neither can
/// be read.
pub(crate) fn memory() -> Option<u64> {
    let machine = total(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .find_map(|path| limit(&fs::read_to_string(path).ok()?));
    Some(group.map_or(machine, |group| group.min(machine)))
}

/// `MemTotal` of /proc/meminfo.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// A control group's limit; none where it says `max`.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_how_much_it_has() {
        let text = "MemTotal:       24576000 kB\nMemFree:         1000 kB\n";
        assert_eq!(total(text), Some(24_576_000 * 1024));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn a_control_group_has_a_number_or_no_limit() {
        assert_eq!(limit("536870912\n"), Some(536_870_912));
        assert_eq!(limit("max\n"), None);
    }
}
