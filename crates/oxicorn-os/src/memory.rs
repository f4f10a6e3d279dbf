//! Whom the kernel killed for lack of memory, as the process's control group counts it.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// The line of the counter, in both versions of control groups.
const COUNTER: &str = "oom_kill ";

/// The kernel's count of processes of this group that were killed for lack of memory.
#[derive(Debug, Default)]
pub struct OomKills {
    file: Option<PathBuf>,
    /// Those that are known.
    seen: u64,
}

impl OomKills {
    /// The count of the calling process's group; it stays at nothing where there is none to read.
    #[must_use]
    pub fn of_this_process() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let files = groups.lines().filter_map(|line| counter_file(line, Path::new(ROOT)));
        files
            .filter_map(|file| Some(Self { seen: count(&file)?, file: Some(file) }))
            .next()
            .unwrap_or_default()
    }

    /// Whether one more process was killed since this was last true.
    pub fn another(&mut self) -> bool {
        let is_new = self.file.as_deref().and_then(count).is_some_and(|count| count > self.seen);
        self.seen += u64::from(is_new);
        is_new
    }
}

/// The file with the counter for a line of `/proc/self/cgroup` (cgroups(7)).
fn counter_file(line: &str, root: &Path) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    let group = group.trim_start_matches('/');
    match controllers {
        "" => Some(root.join(group).join("memory.events")),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            Some(root.join("memory").join(group).join("memory.oom_control"))
        }
        _ => None,
    }
}

fn count(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(COUNTER)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_both_versions() {
        let root = Path::new("/root");
        let unified = counter_file("0::/system.slice/site.service", root);
        assert_eq!(unified, Some("/root/system.slice/site.service/memory.events".into()));
        let legacy = counter_file("9:cpu,memory:/docker/4f", root);
        assert_eq!(legacy, Some("/root/memory/docker/4f/memory.oom_control".into()));
        assert_eq!(counter_file("3:pids:/docker/4f", root), None);
        assert_eq!(counter_file("nonsense", root), None);
    }

    #[test]
    fn each_kill_is_told_once() {
        let file = std::env::temp_dir().join(format!("memory.events.{}", std::process::id()));
        let has = |kills: u32| {
            let text = format!("low 0\nhigh 0\nmax 7\noom 9\noom_kill {kills}\noom_group_kill 0\n");
            fs::write(&file, text).expect("written");
        };
        has(2);
        let mut kills = OomKills { file: Some(file.clone()), seen: 2 };
        assert!(!kills.another());
        has(4);
        assert_eq!([kills.another(), kills.another(), kills.another()], [true, true, false]);
        fs::remove_file(&file).expect("removed");
        assert!(!kills.another());
    }

    #[test]
    fn without_a_group_nothing_is_told() {
        assert!(!OomKills::default().another());
    }
}
