//! Limits that cgroups enforce.

use crate::error::{Error, Result};
use crate::packed::packed;
use std::path::Path;

use super::keep;
use crate::text;

/// The limits wanted; everything `None` or empty means no cgroup is made.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Resources {
    /// Bytes of memory, kernel memory and page cache included.
    pub(crate) memory: Option<u64>,
    /// Bytes of memory and swap together, as docker counts; `u64::MAX` for no limit on swap.
    pub(crate) memory_swap: Option<u64>,
    /// Thousandths of one processor.
    pub(crate) cpus: Option<u64>,
    /// Share of processor time relative to siblings, 1 to 10000, 100 by default.
    pub(crate) cpu_weight: Option<u64>,
    /// How many processes and threads; `u64::MAX` for no limit.
    pub(crate) pids: Option<u64>,
    /// Processors as a list: `0-2,5`.
    pub(crate) cpuset_cpus: Option<&'static str>,
    /// Memory nodes as a list.
    pub(crate) cpuset_mems: Option<&'static str>,
    /// Files of the cgroup, written as they are: `memory.high`, `1m`.
    pub(crate) raw: Vec<(&'static str, &'static str)>,
    /// The cgroup below which ours is made, from the root of each hierarchy.
    pub(crate) parent: Option<&'static Path>,
}

impl Resources {
    /// Whether nothing needs a cgroup.
    pub(crate) fn is_empty(&self) -> bool {
        self.has_no_limit() && self.parent.is_none()
    }

    /// Whether no limit is wanted.
    pub(crate) fn has_no_limit(&self) -> bool {
        self.controllers().is_empty() && self.raw.is_empty()
    }

    /// The controllers that the limits need, each once.
    pub(crate) fn controllers(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        let mut add = |is_needed: bool, name| {
            if is_needed && !names.contains(&name) {
                names.push(name);
            }
        };
        add(self.memory.is_some() || self.memory_swap.is_some(), "memory");
        add(self.cpus.is_some() || self.cpu_weight.is_some(), "cpu");
        add(self.pids.is_some(), "pids");
        add(self.cpuset_cpus.is_some() || self.cpuset_mems.is_some(), "cpuset");
        for (file, _) in &self.raw {
            let controller = controller_of(file);
            // `cgroup.*` files exist without any controller.
            add(controller != "cgroup", controller);
        }
        names
    }
}

/// The controller that owns a file: `memory` for `memory.high`.
pub(crate) fn controller_of(file: &str) -> &str {
    text::cut(file, b'.').map_or(file, |(controller, _)| controller)
}

/// Parses `FILE=VALUE`; the file is a plain name such as `memory.high`, never a path.
pub(crate) fn parse_raw(text: &str) -> Result<(&'static str, &'static str)> {
    let wanted = || Error::new(packed!("wanted is CONTROLLER.FILE=VALUE, such as memory.high=32m"));
    let (file, value) = text::cut(text, b'=').ok_or_else(wanted)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
    // On v1 who is frozen cannot be killed, not even with its launcher.
    if matches!(controller_of(file), "cgroup" | "freezer") {
        return Err(Error::new(packed!("the cgroup.* and freezer.* files are launcher's own")));
    }
    if controller_of(file) == "devices" {
        return Err(Error::new(packed!("devices have --device-cgroup-rule")));
    }
    if !file.as_bytes().contains(&b'.')
        || file.starts_with('.')
        || !file.bytes().all(plain)
        || value.is_empty()
    {
        return Err(wanted());
    }
    Ok((keep(file), keep(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_names_its_controller_once() {
        let resources = Resources {
            memory: Some(1),
            memory_swap: Some(2),
            pids: Some(3),
            raw: vec![("memory.high", "1"), ("io.weight", "5")],
            ..Resources::default()
        };
        assert_eq!(resources.controllers(), ["memory", "pids", "io"]);
        assert!(Resources::default().controllers().is_empty());
    }

    #[test]
    fn a_raw_file_is_never_a_path() {
        assert_eq!(parse_raw("memory.high=1m"), Ok(("memory.high", "1m")));
        for text in [
            "memory.high",
            "=1",
            "../x.y=1",
            "memory/x.y=1",
            "memory=1",
            "cgroup.procs=1",
            "freezer.state=FROZEN",
            ".hidden=1",
            "memory.high=",
        ] {
            assert!(parse_raw(text).is_err(), "{text}");
        }
    }
}
