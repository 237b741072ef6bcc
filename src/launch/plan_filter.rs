//! Where the seccomp filter stands among the steps of the entrypoint.

use crate::host::Host;
use crate::primitives::last_step::LastStep;
use crate::primitives::seccomp::Filter;
use crate::spec::Spec;
use crate::spec::seccomp::Seccomp;

/// The filter, either as the first step or as the last one. Last is after no_new_privs, where it has to allow nothing but
/// execve. Without that it needs CAP_SYS_ADMIN, which we have before the user and the capabilities change.
pub(crate) fn plan(spec: &Spec, host: &Host) -> (Option<LastStep>, Option<LastStep>) {
    let process = &spec.process;
    let filter = match process.seccomp {
        Seccomp::Unconfined => None,
        Seccomp::Standard if spec.privileged => None,
        Seccomp::Standard => Some(Filter::standard(process.bounding.0, host.kernel)),
    };
    let filter = filter.map(LastStep::Filter);
    if process.no_new_privs && !spec.privileged { (None, filter) } else { (filter, None) }
}
