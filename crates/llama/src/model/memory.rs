//! How much memory there is.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Bytes that a program may still take without driving others out, as far as the system says:
/// the least of what the machine and the control groups that this process is in have left.
pub fn available_bytes() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| field(&text, "MemAvailable:"))
        .map(|kib| kib.saturating_mul(1024));
    let groups = read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| group_of(&text))
        .into_iter()
        .flat_map(|group| {
            let levels: Vec<PathBuf> = group.ancestors().map(Path::to_owned).collect();
            levels
        })
        .filter_map(|group| group_left(&group));
    machine.into_iter().chain(groups).min()
}

/// The folder of a process's control group (version 2).
fn group_of(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new("/sys/fs/cgroup").join(path))
}

fn group_left(group: &Path) -> Option<u64> {
    let number =
        |name: &str| -> Option<u64> { read_to_string(group.join(name)).ok()?.trim().parse().ok() };
    let (most, used) = (number("memory.max")?, number("memory.current")?);
    // Cached files give way.
    let cached = read_to_string(group.join("memory.stat"))
        .ok()
        .map_or(0, |text| {
            field(&text, "inactive_file").unwrap_or(0) + field(&text, "active_file").unwrap_or(0)
        });
    Some(most.saturating_sub(used.saturating_sub(cached)))
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_files_are_understood() {
        let meminfo = "MemTotal:       24 kB\nMemAvailable:    3145728 kB\nSwapFree: 0 kB\n";
        assert_eq!(field(meminfo, "MemAvailable:"), Some(3 << 20));
        assert_eq!(field(meminfo, "MemFree:"), None);
        let group = group_of("12:cpu:/x\n0::/a/b.scope\n");
        assert_eq!(group, Some(PathBuf::from("/sys/fs/cgroup/a/b.scope")));
        assert_eq!(group_of("1:memory:/x\n"), None);
    }

    #[test]
    fn a_group_has_its_limit_less_what_is_used_but_for_cached_files() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(group_left(folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(group_left(folder.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(group_left(folder.path()), Some(300));
        write("memory.stat", "anon 5\ninactive_file 100\nactive_file 50\n");
        assert_eq!(group_left(folder.path()), Some(450));
    }
}
