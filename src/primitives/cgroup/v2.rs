//! The unified interface: Documentation/admin-guide/cgroup-v2.rst.

use std::path::Path;

use nix::errno::Errno;

use super::{Limit, Limits};
use crate::error::{Doing, Error, Result};
use crate::packed::{Fill, Packed, filled, packed};
use crate::spec::resources::Resources;
use crate::sys::file::{read, write};
use crate::text::{Show, folder_and_name, is_same_path};

/// What an ordinary user can do about a cgroup that is not its own.
pub(crate) const DELEGATION: Packed = packed!(
    "limits need a cgroup that is delegated to you: systemd-run --user --scope -p Delegate=yes launcher ..."
);

/// What to write for the limits of these controllers.
pub(crate) fn limits(resources: &Resources, controllers: &[&str]) -> Vec<Limit> {
    let mut limits = Limits::new(controllers, "max");
    limits.put("memory.max", resources.memory);
    match resources.memory_swap {
        Some(u64::MAX) => limits.put("memory.swap.max", Some(u64::MAX)),
        // Docker counts memory and swap together, the kernel apart. Unsaid: as much swap as memory.
        Some(total) => {
            let memory = resources.memory.unwrap_or(0);
            limits.put("memory.swap.max", Some(total.saturating_sub(memory)));
        }
        None => limits.put_default("memory.swap.max", resources.memory),
    }
    limits
        .put_text("cpu.max", resources.cpus.map(|cpus| &*filled!("{} 100000", &(cpus * 100)).text().leak()));
    limits.put("cpu.weight", resources.cpu_weight);
    limits.finish(resources)
}

/// What [`prepare_parent`] changed on the way and has to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// This folder was made.
    Made(&'static Path),
    /// We moved ourselves into the folder `leaf` of `parent`, since no cgroup may hold both processes and cgroups
    /// with controllers; the controllers were enabled after that.
    Moved {
        /// Where we are now.
        leaf: &'static Path,
        /// Where we were.
        parent: &'static Path,
        /// `-memory -pids`, to write back before we return.
        disable: &'static str,
    },
}

/// Makes sure that a cgroup below `parent` can have `controllers`: enables them in every cgroup from `top` down,
/// makes missing ones. `changed` learns of each change when it is made, failure or not.
///
/// # Errors
/// A controller is not handed down, or we may not enable it: names it and the file.
pub(crate) fn prepare_parent(
    top: &'static Path,
    parent: &'static Path,
    controllers: &[&str],
    changed: &mut dyn FnMut(Change),
) -> Result<()> {
    enable(top, controllers, is_same_path(top, parent), changed)?;
    for folder in super::folders_between(top, parent) {
        match crate::sys::path::make_folder(folder) {
            Ok(()) => changed(Change::Made(folder)),
            Err(Errno::EEXIST) => {}
            // Somebody else's, and there: what we may do in it will show.
            Err(_) if crate::sys::dir::is_folder(folder) => {}
            Err(errno) => return Err(errno).doing(filled!("make {}", folder.shown())),
        }
        enable(folder, controllers, is_same_path(folder, parent), changed)?;
    }
    Ok(())
}

/// Enables the controllers for the children of `folder`.
fn enable(
    folder: &'static Path,
    controllers: &[&str],
    is_parent: bool,
    changed: &mut dyn FnMut(Change),
) -> Result<()> {
    // For good: once for each folder above a container that stays.
    let file = &*folder.join("cgroup.subtree_control").leak();
    let enabled = &*read(file).doing(filled!("read {}", file.shown()))?.leak();
    let has = |text: &str, name: &str| text.split_ascii_whitespace().any(|one| one == name);
    // What is written to enable what is missing, and to disable it again.
    let (mut enabling, mut disabling) = (String::new(), String::new());
    for name in controllers {
        if has(enabled, name) {
            continue;
        }
        for (line, sign) in [(&mut enabling, "+"), (&mut disabling, "-")] {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(sign);
            line.push_str(name);
        }
        if has(&read(&folder.join("cgroup.controllers")).unwrap_or_default(), name) {
            continue;
        }
        let above = folder_and_name(folder).map_or(folder, |(above, _)| above).join("cgroup.subtree_control");
        return Err(Error::new(filled!(
            "the {} controller is not handed down to {}",
            [&name, &folder.shown()]
        ))
        .hint(filled!("enable it above: echo +{} > {}", [&name, &above.shown()])));
    }
    if enabling.is_empty() {
        return Ok(());
    }
    match write(file, &enabling) {
        Ok(()) => Ok(()),
        // Processes in it, perhaps just ourselves.
        Err(Errno::EBUSY) if is_parent => {
            let leaf = &*folder.join(filled!("launcher-self-{}", &std::process::id()).text()).leak();
            crate::sys::path::make_folder(leaf).doing(filled!("make {}", leaf.shown()))?;
            changed(Change::Moved { leaf, parent: folder, disable: disabling.leak() });
            write(&leaf.join("cgroup.procs"), "0").doing(filled!("move to {}", leaf.shown()))?;
            write(file, &enabling).map_err(|errno| refused(file, &enabling, errno))
        }
        Err(errno) => Err(refused(file, &enabling, errno)),
    }
}

/// Says why controllers cannot be enabled.
fn refused(file: &Path, words: &str, errno: Errno) -> Error {
    let error = Error::os(filled!("write {} to {}", words, file.shown()), errno);
    match errno {
        Errno::EBUSY => error.hint(filled!(
            "other processes share our cgroup, and the kernel wants them in leaves; {}",
            &DELEGATION
        )),
        Errno::EACCES | Errno::EPERM => error.hint(DELEGATION),
        _ => error,
    }
}

/// Puts a change back.
///
/// # Errors
/// The kernel refuses; a folder that others use by now is left to them without a word.
pub(crate) fn revert(change: &Change) -> Result<()> {
    let remove = |folder: &Path| match crate::sys::path::remove_folder(folder) {
        Ok(()) | Err(Errno::EBUSY | Errno::ENOTEMPTY | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno).doing(filled!("remove {}", folder.shown())),
    };
    match change {
        Change::Made(folder) => remove(folder),
        Change::Moved { leaf, parent, disable } => {
            // EBUSY: a sibling container uses the controllers; we then stay where we are, as it did.
            let disabled = write(&parent.join("cgroup.subtree_control"), disable);
            if disabled.is_ok() && write(&parent.join("cgroup.procs"), "0").is_ok() {
                remove(leaf)
            } else {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a cgroup with these controllers offered and enabled.
    fn fake(folder: &Path, offered: &str, enabled: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("cgroup.controllers"), offered).unwrap();
        std::fs::write(folder.join("cgroup.subtree_control"), enabled).unwrap();
    }

    #[test]
    fn each_limit_means_these_files() {
        let resources = Resources {
            memory: Some(1024),
            memory_swap: Some(1536),
            cpus: Some(1500),
            cpu_weight: Some(50),
            pids: Some(20),
            ..Resources::default()
        };
        let got: Vec<_> = limits(&resources, &["memory", "cpu"])
            .into_iter()
            .map(|one| format!("{}={}", one.file, one.value))
            .collect();
        assert_eq!(got, ["memory.max=1024", "memory.swap.max=512", "cpu.max=150000 100000", "cpu.weight=50"]);
    }

    #[test]
    fn only_what_is_missing_is_enabled() {
        let top: &Path = crate::tests::temp_folder("v2-enable").leak();
        fake(top, "memory pids cpu", "memory\n");
        prepare_parent(top, top, &["memory", "pids"], &mut |_| panic!("nothing is made")).unwrap();
        let written = std::fs::read_to_string(top.join("cgroup.subtree_control")).unwrap();
        assert!(written.starts_with("+pids"), "{written}");
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_controller_that_is_not_handed_down_is_named_with_the_file_above() {
        let top: &Path = crate::tests::temp_folder("v2-missing").leak();
        fake(top, "memory pids", "memory pids");
        fake(&top.join("a"), "memory", "memory");
        let error = prepare_parent(top, top.join("a").leak(), &["memory", "pids"], &mut |_| {}).unwrap_err();
        assert!(error.doing.contains("the pids controller is not handed down to"), "{error}");
        let above = top.join("cgroup.subtree_control");
        assert_eq!(error.hint, Some(format!("enable it above: echo +pids > {}", above.display())));
        std::fs::remove_dir_all(top).unwrap();
    }
}
