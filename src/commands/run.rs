//! `launcher run`: spec, facts, plan, launch.

use nix::unistd::AccessFlags;

use crate::cli::run::RunCommand;
use crate::error::Result;
use crate::host::Host;
use crate::launch::best_effort::{self, Thing};
use crate::launch::parent::{self, Ending};
use crate::launch::plan::Plan;
use crate::log::{inform, warning};
use crate::primitives::cgroup::bpf;
use crate::primitives::trials::{Outcome, Trials};
use crate::spec::Spec;
use crate::spec::idmap::Mapping;
use crate::spec::user::{Principal, User};
use crate::sys;

/// Makes the container, or prints how it would.
///
/// # Errors
/// Something that was asked for cannot be had here, or a step failed.
pub(crate) fn run(command: &mut RunCommand) -> Result<u8> {
    let RunCommand { spec, dry_run } = command;
    let host = Host::probe(spec)?;
    if spec.mapping == Mapping::KeepId && spec.process.user.is_none() {
        spec.process.user =
            Some(User { user: Principal::Id(host.uid), group: Some(Principal::Id(host.gid)) });
    }
    let losses = if spec.best_effort { adapt(spec, host)? } else { Vec::new() };
    let plan = Plan::new(spec, host);
    // The sealed copy comes by here again, and says it.
    if !*dry_run && let Ok(plan) = &plan {
        parent::seal(plan)?;
    }
    for loss in losses {
        warning!("without {loss}");
    }
    let plan = plan?;
    if *dry_run {
        super::print(1, plan)?;
        return Ok(0);
    }
    loop {
        match parent::launch(plan)? {
            Ending::Exited(status) => return Ok(status),
            Ending::Reboot => inform!("the container reboots"),
        }
    }
}

/// Takes out of the spec what cannot be had here, and returns what that is.
fn adapt(spec: &mut Spec, host: &Host) -> Result<Vec<String>> {
    let trials = Trials::new()?;
    best_effort::adapt(spec, host, &|thing| attempt(trials, thing))
}

/// Tries a thing out.
fn attempt(trials: Trials, thing: Thing<'_>) -> Outcome {
    match thing {
        Thing::Namespace(kind) => trials.namespace(kind),
        Thing::Proc => trials.proc(),
        Thing::Sysfs => trials.sysfs(),
        Thing::Filter => sys::trial::seccomp_filters(),
        Thing::Cgroup(folder) => sys::path::may(folder, AccessFlags::W_OK),
        Thing::Devices => sys::bpf::load_device_program(&bpf::program(&[])).map(drop),
    }
}
