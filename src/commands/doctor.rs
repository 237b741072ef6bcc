//! `launcher doctor`: what this machine lets launcher do, for the user who asks; what is missing, what that costs, and how
//! to mend it. Changes nothing.

use std::ffi::OsStr;
use std::fmt::{Display, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::AccessFlags;

use super::print;
use crate::error::{Result, describe};
use crate::host::{self, Hierarchy, SubRange, Version};
use crate::launch::report::Escaped;
use crate::packed::{Packed, filled, packed};
use crate::primitives::trials::{Outcome, Trials};
use crate::spec::caps::CapSet;
use crate::spec::namespaces::Kind;
use crate::sys;
use crate::text;

/// Looks at everything and prints it, as text or as a line of JSON for each check.
///
/// Status 0: containers can be made; 1: something that each needs is missing.
///
/// # Errors
/// Standard output cannot be written; or /proc is not there, without which nothing could be told from nothing.
pub(crate) fn run(json: bool) -> Result<u8> {
    let status = host::read("/proc/self/status")
        .map_err(|error| error.hint(packed!("mount it: mount -t proc proc /proc")))?;
    let mut doctor = Doctor { json, trials: Trials::new()?, text: String::new(), is_ill: false };
    doctor.look_at_us(&status);
    doctor.look_at_namespaces();
    doctor.look_at_filesystems();
    doctor.look_at_calls();
    doctor.look_at_ids();
    doctor.look_at_limits();
    print(1, &doctor.text)?;
    Ok(u8::from(doctor.is_ill))
}

/// No words.
const NOTHING: Packed = packed!("");

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// As it should be.
    Fine,
    /// Something works less well, or not at all, that not every container needs.
    Limited,
    /// No container without it.
    Missing,
}

/// What was found so far.
struct Doctor {
    /// As JSON.
    json: bool,
    /// Tries things out.
    trials: Trials,
    /// The text so far.
    text: String,
    /// Something is missing.
    is_ill: bool,
}

impl Doctor {
    /// Puts one check down. `words` are its name, what it costs where it is not fine, and how to mend it, with tabs between.
    fn note(&mut self, state: State, words: Packed, found: &dyn Display) {
        self.note_with(state, words, words.part(2, b'\t'), found);
    }

    /// The same with another way to mend it.
    fn note_with(&mut self, state: State, words: Packed, mend: Packed, found: &dyn Display) {
        self.is_ill |= state == State::Missing;
        let word = match state {
            State::Fine => "ok",
            State::Limited => "limited",
            State::Missing => "missing",
        };
        let (name, costs) = (words.part(0, b'\t'), words.part(1, b'\t'));
        let (costs, mend) = if state == State::Fine { (NOTHING, NOTHING) } else { (costs, mend) };
        let written = if self.json {
            let (found, mend) = (Escaped(found), Escaped(&mend));
            writeln!(
                self.text,
                "{{\"check\":\"{name}\",\"status\":\"{word}\",\"found\":\"{found}\",\"costs\":\"{costs}\",\"mend\":\"{mend}\"}}",
            )
        } else if costs.is_empty() {
            writeln!(self.text, "{word:8} {name}: {found}")
        } else {
            writeln!(self.text, "{word:8} {name}: {found}\n         costs: {costs}\n         mend:  {mend}")
        };
        crate::error::tolerate(written, "writing to a string never fails");
    }

    /// Puts down what came of a trial.
    fn note_trial(&mut self, outcome: Outcome, otherwise: State, words: Packed) {
        self.note_trial_with(outcome, otherwise, words, words.part(2, b'\t'));
    }

    /// The same with another way to mend it.
    fn note_trial_with(&mut self, outcome: Outcome, otherwise: State, words: Packed, mend: Packed) {
        match outcome {
            Ok(()) => self.note(State::Fine, words, &"works"),
            Err(errno) => self.note_with(otherwise, words, mend, &describe(errno)),
        }
    }

    /// Puts down what there is not.
    fn note_lacking(&mut self, lacking: &str, words: Packed) {
        match lacking {
            "" => self.note(State::Fine, words, &"none"),
            some => self.note(State::Limited, words, &some),
        }
    }

    /// Whether a line stands in our status, proc(5).
    fn note_set(&mut self, status: &str, line: &str, words: Packed) {
        let is_set = text::lines(status).any(|other| other == line);
        self.note_lacking(if is_set { "set" } else { "" }, words);
    }

    /// The kernel, and what confines us already.
    fn look_at_us(&mut self, status: &str) {
        let release = host::read_or_empty("/proc/sys/kernel/osrelease");
        self.note(State::Fine, packed!("kernel"), &release.trim_ascii());
        self.note_set(
            status,
            "Seccomp:\t2",
            packed!(
                "seccomp filter on launcher\tcalls that it forbids fail, whoever makes them\tin docker: --security-opt \
                 seccomp=unconfined; in kubernetes: seccompProfile Unconfined"
            ),
        );
        self.note_set(
            status,
            "NoNewPrivs:\t1",
            packed!(
                "no_new_privs on launcher\tnewuidmap and other set-id programs do not work\tstart launcher where it is \
                 not set"
            ),
        );
        let label = host::read_or_empty("/proc/self/attr/current");
        let label = text::parts(&label, b'\n')
            .next()
            .and_then(|label| text::parts(label, b'\0').next())
            .unwrap_or_default();
        self.note_lacking(
            if label == "unconfined" { "" } else { label },
            packed!("profile of a security module\twhat it forbids fails\tin docker: --security-opt apparmor=unconfined"),
        );
        if self.trials.uid == 0 {
            self.look_at_capabilities();
        }
    }

    /// Those that root's containers are made with, or may be given.
    fn look_at_capabilities(&mut self) {
        let has = CapSet(sys::caps::permitted().unwrap_or(0));
        let lacking = CapSet::DEFAULT.with(CapSet::SYS_ADMIN).without(has);
        let state = match lacking {
            CapSet::NONE => State::Fine,
            some if some.without(CapSet::SYS_ADMIN) == some => State::Limited,
            _ => State::Missing,
        };
        self.note(
            state,
            packed!("capabilities that are lacking\ta container without them; without sys_admin none\tin docker: --privileged, \
             or --cap-add for each; or start launcher as an ordinary user"),
            &lacking,
        );
    }

    /// Each kind.
    fn look_at_namespaces(&mut self) {
        // For others than root every other kind hangs on this one.
        let needed = if self.trials.uid == 0 { State::Limited } else { State::Missing };
        let words = packed!("user namespace\tcontainers of ordinary users, --userns, --uidmap");
        let outcome = self.trials.namespace(Kind::User);
        self.note_trial_with(outcome, needed, words, why_no_user_namespaces());
        for (kind, otherwise, words) in [
            (Kind::Mount, State::Missing, packed!("mount namespace\t--rootfs, every mount")),
            (Kind::Pid, State::Missing, packed!("PID namespace\tall but --pid host")),
            (Kind::Network, State::Limited, packed!("network namespace\tall but --network host")),
            (Kind::Uts, State::Limited, packed!("UTS namespace\tall but --uts host")),
            (Kind::Ipc, State::Limited, packed!("IPC namespace\tall but --ipc host")),
            (Kind::Cgroup, State::Limited, packed!("cgroup namespace\tall but --cgroupns host")),
        ] {
            let outcome = self.trials.namespace(kind);
            let mend = match outcome {
                Err(Errno::EINVAL) => packed!("a kernel with CONFIG_NAMESPACES and the option below it"),
                Err(Errno::ENOSPC) => packed!("sysctl user.max_*_namespaces"),
                _ => packed!("CAP_SYS_ADMIN, or an ordinary user's user namespace; in docker: --privileged"),
            };
            self.note_trial_with(outcome, otherwise, words, mend);
        }
        self.note_trial(
            self.trials.namespace(Kind::Time),
            State::Limited,
            packed!("time namespace\t--time-offset\tLinux 5.6 with CONFIG_TIME_NS"),
        );
    }

    /// What is mounted in a container.
    fn look_at_filesystems(&mut self) {
        self.note_trial(
            self.trials.proc(),
            State::Missing,
            packed!("fresh /proc\tevery container with a PID namespace\tunmask the one outside: docker --security-opt \
             systempaths=unconfined, podman --security-opt unmask=ALL, kubernetes procMount: Unmasked"),
        );
        self.note_trial(
            self.trials.sysfs(),
            State::Limited,
            packed!(
                "fresh /sys\ta container with a network of its own\tunmask the one outside, or --best-effort"
            ),
        );
        self.note_trial(
            self.trials.overlay(),
            State::Limited,
            packed!("overlay on tmpfs\t--ephemeral\tCONFIG_OVERLAY_FS (modprobe overlay); Linux 5.11 for ordinary users"),
        );
    }

    /// System calls of newer kernels.
    fn look_at_calls(&mut self) {
        let mut lacking = String::new();
        let numbers = &[
            libc::SYS_clone3,
            libc::SYS_openat2,
            libc::SYS_close_range,
            libc::SYS_pidfd_open,
            libc::SYS_open_tree,
            libc::SYS_mount_setattr,
        ];
        let names = "clone3 openat2 close_range pidfd_open open_tree mount_setattr";
        for (name, number) in text::parts(names, b' ').zip(numbers) {
            if matches!(sys::trial::call(*number), Errno::ENOSYS | Errno::EPERM) {
                lacking += name;
                lacking += " ";
            }
        }
        self.note_lacking(
            lacking.trim_ascii_end(),
            packed!("newer system calls that are lacking\ttime: the same is done in older ways\tLinux 5.12; a seccomp filter \
             may hide them"),
        );
        self.note_trial(
            sys::trial::seccomp_filters(),
            State::Limited,
            packed!("seccomp filters\tcontainers are refused unless seccomp=unconfined\tCONFIG_SECCOMP_FILTER, Linux 4.14"),
        );
        self.note_trial(
            sys::trial::landlock(),
            State::Limited,
            packed!(
                "Landlock\t--landlock\tLinux 5.13 with CONFIG_SECURITY_LANDLOCK, and landlock in lsm= at boot"
            ),
        );
    }

    /// Ranges of ids for `--userns auto`, and who writes them.
    fn look_at_ids(&mut self) {
        let uid = self.trials.uid;
        let (name, users, groups) = host::subordinate_ids(uid);
        let count =
            |ranges: &[SubRange]| ranges.iter().fold(0u32, |sum, range| sum.saturating_add(range.size));
        let (users, groups) = (count(&users), count(&groups));
        self.note(
            if users.min(groups) == 0 { State::Limited } else { State::Fine },
            packed!("ranges in /etc/subuid and /etc/subgid\t--userns auto; an ordinary user's container has root and nobody else\t\
             usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME"),
            &filled!("{} and {} ids of {}", [&users, &groups, &name]),
        );
        if uid != 0 {
            let mut lacking = String::new();
            for name in text::parts("newuidmap newgidmap", b' ') {
                if !is_in_path(name) {
                    lacking += name;
                    lacking += " ";
                }
            }
            self.note_lacking(
                lacking.trim_ascii_end(),
                packed!("helpers that are lacking\t--userns auto\tinstall uidmap (Debian) or shadow-utils"),
            );
        }
    }

    /// Controllers that we may use.
    fn look_at_limits(&mut self) {
        let hierarchies = host::probe_hierarchies(self.trials.uid, &[]).unwrap_or_default();
        let mut found = String::new();
        let mut state = State::Fine;
        for name in text::parts("memory cpu cpuset pids", b' ') {
            let has = |one: &&Hierarchy| one.controllers.contains(&name);
            let words = match hierarchies.iter().find(has) {
                Some(one) if may_make_cgroups(one) => match one.version {
                    Version::V1 => " on v1 ",
                    Version::V2 => " on v2 ",
                },
                other => {
                    state = State::Limited;
                    if other.is_some() { " not ours " } else { " nowhere " }
                }
            };
            found = found + name + words;
        }
        self.note(
            state,
            packed!("controllers for limits\tthe options -m, --cpus, --cpuset-*, --pids-limit that they stand for\tordinary users: \
             systemd-run --user --scope -p Delegate=yes launcher ...; in a container: a writable cgroup"),
            &found.trim_ascii_end(),
        );
    }
}

/// Whether we may make a cgroup in this hierarchy.
fn may_make_cgroups(hierarchy: &Hierarchy) -> bool {
    let folder = match hierarchy.version {
        Version::V2 if nix::unistd::geteuid().as_raw() != 0 => return hierarchy.delegated.is_some(),
        Version::V2 => &hierarchy.mountpoint,
        Version::V1 => &hierarchy.own,
    };
    sys::path::may(folder, AccessFlags::W_OK).is_ok()
}

/// Whether there is a program of this name.
fn is_in_path(name: &str) -> bool {
    let entry = sys::entry::variable(b"PATH=").unwrap_or_default();
    let path = entry.as_bytes().strip_prefix(b"PATH=").unwrap_or_default();
    let mut folders = path.split(|byte| *byte == b':');
    folders.any(|folder| {
        let file = [folder, b"/", name.as_bytes()].concat();
        sys::path::may(Path::new(OsStr::from_bytes(&file)), AccessFlags::X_OK).is_ok()
    })
}

/// What forbids user namespaces, as far as the machine says so.
fn why_no_user_namespaces() -> Packed {
    let is = |file: &str, value: &str| host::read_or_empty(file).trim_ascii() == value;
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        packed!(
            "an AppArmor profile with `userns,` for the file launcher, or sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0"
        )
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        packed!("sysctl kernel.unprivileged_userns_clone=1")
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        packed!("sysctl user.max_user_namespaces=15000")
    } else {
        packed!(
            "a kernel with CONFIG_USER_NS; in docker: --security-opt seccomp=unconfined; outside a chroot"
        )
    }
}
