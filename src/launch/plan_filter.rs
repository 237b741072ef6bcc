//! Where the seccomp filter stands among the steps of the entrypoint.

use crate::error::Result;
use crate::host::Host;
use crate::primitives::last_step::LastStep;
use crate::primitives::seccomp::Filter;
use crate::primitives::seccomp::docker::Facts;
use crate::spec::Spec;
use crate::spec::caps::CapSet;
use crate::spec::seccomp::Seccomp;

/// The filter, either as the first step or as the last one. Last is after no_new_privs, where it has to allow nothing but
/// execve. Without that it needs CAP_SYS_ADMIN, which we have before the user and the capabilities change.
///
/// # Errors
/// The user's profile is none.
pub(crate) fn plan(spec: &Spec, host: &Host) -> Result<(Option<LastStep>, Option<LastStep>)> {
    let process = &spec.process;
    let bounding = if spec.privileged { CapSet::ALL.0 } else { process.bounding.0 };
    let filter = match &process.seccomp {
        Seccomp::Unconfined => None,
        Seccomp::Standard if spec.privileged => None,
        Seccomp::Standard => {
            // What the filter keeps it from is not open to it.
            let nodes = u64::from(process.guards_nodes) << CapSet::MKNOD;
            Some(Filter::standard(bounding & !nodes, host.kernel))
        }
        Seccomp::File(file) => {
            Some(Filter::of_file(file, &host.profile, Facts { bounding, kernel: host.kernel })?)
        }
    };
    let filter = filter.map(LastStep::Filter);
    Ok(if spec.no_new_privs() { (None, filter) } else { (filter, None) })
}
