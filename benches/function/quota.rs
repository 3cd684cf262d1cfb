//! A part of one core, as Lambda gives it by memory size: a control group with a CPU quota.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// At this memory size a function has one whole core (Lambda Developer Guide, "Configure Lambda function memory").
pub const MB_OF_A_CORE: f64 = 1769.0;

/// How often the quota is given anew. AWS documents no period; measurements of running functions see pauses of about this length.
pub const PERIOD: Duration = Duration::from_millis(20);

/// A control group; removed when dropped.
pub struct Quota {
    group: PathBuf,
}

impl Quota {
    /// A quota of this memory size's share.
    ///
    /// # Errors
    /// Why this machine has none: no CPU controller, or no right to make a group.
    pub fn of_memory(megabytes: u32) -> io::Result<Self> {
        let share = f64::from(megabytes) / MB_OF_A_CORE;
        let (period, quota) = (PERIOD.as_micros(), (PERIOD.as_micros() as f64 * share) as u64);
        let mounts = fs::read_to_string("/proc/mounts")?;
        let root = |kind: &str, option: &str| {
            mounts.lines().find_map(|line| {
                let fields: Vec<_> = line.split(' ').collect();
                (fields[2] == kind && (option.is_empty() || fields[3].split(',').any(|name| name == option)))
                    .then(|| PathBuf::from(fields[1]))
            })
        };
        let name = format!("bench-{}-{megabytes}", std::process::id());
        if let Some(root) = root("cgroup", "cpu") {
            let group = make(&root, &name)?;
            fs::write(group.group.join("cpu.cfs_period_us"), period.to_string())?;
            fs::write(group.group.join("cpu.cfs_quota_us"), quota.to_string())?;
            return Ok(group);
        }
        let root = root("cgroup2", "").ok_or_else(|| io::Error::other("no control groups are mounted"))?;
        if !fs::read_to_string(root.join("cgroup.subtree_control"))?.split_whitespace().any(|name| name == "cpu") {
            return Err(io::Error::other("the control groups' CPU controller is off"));
        }
        let group = make(&root, &name)?;
        fs::write(group.group.join("cpu.max"), format!("{quota} {period}"))?;
        Ok(group)
    }

    /// Returns the file that a process is added to the group with.
    pub fn members(&self) -> PathBuf {
        self.group.join("cgroup.procs")
    }

    /// Whether the process is inside.
    pub fn holds(&self, pid: u32) -> bool {
        fs::read_to_string(self.members()).unwrap().lines().any(|member| member == pid.to_string())
    }
}

fn make(root: &Path, name: &str) -> io::Result<Quota> {
    let group = root.join(name);
    fs::create_dir(&group)?;
    Ok(Quota { group })
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.group);
    }
}
