//! The old interface: Documentation/admin-guide/cgroup-v1.

use std::path::Path;

use nix::errno::Errno;

use super::{Limit, Limits};
use crate::error::{Doing, Error, Result};
use crate::packed::{filled, packed};
use crate::spec::devices::{DEFAULT, Rule};
use crate::spec::resources::Resources;
use crate::sys::file::{read, write};
use crate::text::{Show, text_of};

/// What to write for the limits that one hierarchy with these controllers can enforce.
pub(crate) fn limits(resources: &Resources, controllers: &[&str]) -> Vec<Limit> {
    let mut limits = Limits::new(controllers, "-1");
    limits.put("memory.limit_in_bytes", resources.memory);
    if resources.memory_swap.is_some() {
        limits.put("memory.memsw.limit_in_bytes", resources.memory_swap);
    } else {
        // Docker's rule: as much swap as memory where nothing is said.
        let total = resources.memory.and_then(|bytes| bytes.checked_mul(2));
        limits.put_default("memory.memsw.limit_in_bytes", total);
    }
    limits.put_text("cpu.cfs_period_us", resources.cpus.map(|_| "100000"));
    limits.put("cpu.cfs_quota_us", resources.cpus.map(|cpus| cpus * 100));
    // 1024 shares are what a weight of 100 is: the default of each.
    limits.put("cpu.shares", resources.cpu_weight.map(|weight| (weight * 1024 / 100).max(2)));
    limits.finish(resources)
}

/// Fills a new cgroup's cpuset from the one above: as long as it is empty no process can be put in.
pub(super) fn inherit_cpuset(folder: &Path) -> Result<()> {
    for file in &["cpuset.cpus", "cpuset.mems"] {
        // For good: once for each container.
        let (own, above) = (&*folder.join(file).leak(), &*folder.join("..").join(file).leak());
        let Ok(text) = read(own) else { return Ok(()) };
        if text.trim_ascii().is_empty() {
            let value = read(above).doing(filled!("read {}", above.shown()))?;
            write(own, value.trim_ascii()).doing(filled!("write {}", own.shown()))?;
        }
    }
    Ok(())
}

/// Forbids all devices, then allows these. Before the first process: what it has open stays open.
pub(super) fn allow_devices(folder: &Path, rules: &[Rule]) -> Result<()> {
    write(&folder.join("devices.deny"), "a")
        .map_err(|errno| Error::os(packed!("forbid all"), errno).hint(super::ONLY_ROOT))?;
    let file = folder.join("devices.allow");
    for (index, rule) in rules.iter().enumerate() {
        match write(&file, &text_of(rule)) {
            Ok(()) => {}
            // The cgroup above forbids it, to launcher too: nobody has asked for that.
            Err(Errno::EPERM) if index < DEFAULT.len() => {}
            Err(errno) => {
                return Err(Error::os(filled!("{}", rule), errno)
                    .hint(packed!("the cgroup above does not allow it either")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_means_these_files() {
        let resources = Resources {
            memory: Some(1024),
            cpus: Some(200),
            cpu_weight: Some(50),
            pids: Some(u64::MAX),
            cpuset_cpus: Some("0"),
            raw: vec![("memory.swappiness", "0")],
            ..Resources::default()
        };
        let short = |controllers: &[&str]| {
            let line = |limit: Limit| {
                format!("{}={}{}", limit.file, limit.value, if limit.is_default { "?" } else { "" })
            };
            limits(&resources, controllers).into_iter().map(line).collect::<Vec<_>>()
        };
        let memory =
            ["memory.limit_in_bytes=1024", "memory.memsw.limit_in_bytes=2048?", "memory.swappiness=0"];
        assert_eq!(short(&["memory"]), memory);
        let cpu = ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=20000", "cpu.shares=512"];
        assert_eq!(short(&["cpu", "cpuacct"]), cpu);
        assert_eq!(short(&["pids"]), ["pids.max=max"]);
        assert_eq!(short(&["cpuset"]), ["cpuset.cpus=0"]);
    }

    #[test]
    fn unlimited_swap_is_minus_one() {
        let resources = Resources { memory: Some(1), memory_swap: Some(u64::MAX), ..Resources::default() };
        let got = limits(&resources, &["memory"]);
        assert_eq!(got.last().map(|limit| (limit.value, limit.is_default)), Some(("-1", false)));
    }
}
