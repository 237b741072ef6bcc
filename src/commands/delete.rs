//! `launcher delete`: removes what a container left whose launcher was killed. Its name is all that is needed.

use crate::cli::run::DeleteCommand;
use crate::error::{Error, Result};
use crate::host;
use crate::launch::plan_cgroup::folder_name;
use crate::packed::{filled, packed};
use crate::primitives::cgroup;

/// Finds the cgroups of that name in every hierarchy and removes them; with `--force` kills what is in them first.
///
/// # Errors
/// There is no such container and `--force` was not given; it is running; or it does not die.
pub(crate) fn run(command: &DeleteCommand) -> Result<u8> {
    let hierarchies = host::probe_hierarchies(nix::unistd::geteuid().as_raw(), &[])?;
    let folder = folder_name(command.name);
    let mut found = Vec::new();
    for one in &hierarchies {
        cgroup::find(one.version, one.mountpoint, &folder, &mut found);
    }
    if found.is_empty() && !command.force {
        return Err(Error::new(filled!("delete {}: there is no container of that name", command.name)));
    }
    if !command.force && found.iter().any(cgroup::Cgroup::is_populated) {
        return Err(Error::new(filled!("delete {}: it is running", command.name))
            .hint(packed!("stop it first, or delete it with --force")));
    }
    for cgroup in &found {
        if command.force {
            cgroup.kill_all();
        }
        cgroup.remove()?;
    }
    Ok(0)
}
