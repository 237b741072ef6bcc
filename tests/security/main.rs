//! Published flaws of container runtimes, tried on ours: each test makes the unsafe state that the number stands for and
//! sees it refused. Where another file has that test already it is named here instead of being written twice.
//!
//! | flaw | covered by |
//! |-|-|
//! | *handles of the host reachable from inside* | |
//! | CVE-2019-5736 (runc, lxc) our executable is written from inside | handles.rs |
//! | CVE-2019-12499 (firejail) the same, at the end of the container | handles.rs |
//! | CVE-2022-0847 (kernel) our executable is changed by who may only read it | handles.rs |
//! | CVE-2016-9962 (runc exec) those who join are traced or looked into | handles.rs |
//! | CVE-2024-21626 (runc) leaked descriptors, working directory behind one | root.rs `descriptors_of_the_caller_stay_outside`, `no_descriptor_leads_the_working_directory_outside`; rootless, pipes, links to one: handles.rs |
//! | CVE-2015-3627 (libcontainer) descriptors opened through links of the image | terminal.rs `what_an_image_has_in_dev_is_neither_followed_nor_changed` |
//! | CVE-2020-15257 (containerd) abstract sockets | handles.rs |
//! | environment of the caller in PID 1 (bubblewrap) | root.rs `the_callers_secrets_are_not_to_be_found_in_pid_1` |
//! | memory, maps, root, namespaces of PID 1 | root.rs `pid_1_cannot_be_looked_into`; ptrace, pidfd, signals: handles.rs |
//! | CVE-2026-109569 (sandboxed.sh) joining without the other's root | root.rs `the_mounts_and_the_ids_of_another_container_can_be_joined` |
//! | working directory from before the root changed (firejail) | root.rs, rootless.rs `the_command_starts_in_the_root_of_the_container` |
//! | the old root | root.rs, rootless.rs `the_root_of_the_host_is_out_of_reach` |
//! | *paths that the image decides* | |
//! | CVE-2015-1335 (lxc), CVE-2015-3629 (docker), CVE-2026-87766 (bubblewrap) places that are links | mounts.rs `links_of_the_image_do_not_lead_out` |
//! | CVE-2019-18837 (crun) chains of links | paths.rs, and as before |
//! | CVE-2019-19921, CVE-2023-27561 (runc), CVE-2025-54867 (youki) /proc, /sys are links | root.rs `a_rootfs_cannot_lead_mounts_astray`; rootless: paths.rs |
//! | CVE-2026-41579 (runc), CVE-2026-47766 (crun) /dev is a link | the same two |
//! | CVE-2026-88264 (crun), CVE-2025-52565 (runc) /dev/console, /dev/pts/0 of the image | terminal.rs `what_an_image_has_in_dev_is_neither_followed_nor_changed` |
//! | CVE-2025-31133 (runc), CVE-2025-62161 (youki) /dev/null of the image as a mask | paths.rs |
//! | CVE-2026-88265 (crun) /dev/null of the image as a standard stream | paths.rs |
//! | CVE-2025-24965 (crun) files of ours in the image | paths.rs |
//! | places made in the source of a read-only bind (crun) | mounts.rs `nothing_is_made_in_what_is_mounted_read_only` |
//! | CVE-2021-30465, CVE-2024-45310 (runc), CVE-2024-42472 (flatpak), GHSA-9m95-8hx6-7p9v (umoci) races | races.rs |
//! | CVE-2016-3697, CVE-2024-40635, GO-2026-5475 passwd and group of the image | identity.rs `who_is_not_there_is_refused_by_name`, `tables_that_are_no_files_are_refused_at_once` |
//! | *the kernel's own files* | |
//! | CVE-2019-16884, CVE-2025-52881 (runc) writes to /proc go elsewhere | privileges.rs `a_parameter_is_not_written_to_what_covers_it` |
//! | CVE-2022-0811 (cri-o) parameters of the machine | privileges.rs `parameters_of_the_machine_are_not_for_a_container` |
//! | GHSA-jq35-85cj-fj4p, GHSA-6fw5-f8r9-fgfm (moby) masks that are missing | root.rs `exactly_these_mounts_are_there`, `secrets_of_the_host_are_masked_and_its_knobs_read_only` |
//! | CVE-2014-5206, CVE-2014-9717 (kernel) masks taken away in a user namespace | kernel.rs |
//! | propagation of the host changed (runc) | mounts.rs `what_is_shared_goes_out_and_nothing_else` |
//! | flags lost by a remount (crun) | mounts.rs `inherited_flags_stay_in_a_user_namespace` |
//! | errors of the set-up ignored (crun) | errors.rs |
//! | *ids and rights* | |
//! | CVE-2016-8867, CVE-2022-24769 (docker), CVE-2022-29162 (runc) inheritable, ambient capabilities | privileges.rs `nothing_is_inheritable_that_was_not_asked_for` |
//! | CVE-2022-36109 (moby) groups of the caller | identity.rs `the_callers_groups_go_unless_they_are_to_stay` |
//! | CVE-2026-30892 (crun) user numbers read wrong | identity.rs `who_is_not_there_is_refused_by_name` |
//! | CVE-2018-7169, CVE-2016-6252 (shadow) groups dropped that deny | rootless.rs `one_id_is_enough_to_be_root_inside` |
//! | CVE-2018-18955 (kernel), maps of several lines (crun) | kernel.rs |
//! | CVE-2016-8659, CVE-2020-5291 (bubblewrap), CVE-2022-31214 (firejail) set-user-id | kernel.rs |
//! | names that are paths (crun) | cgroup.rs `delete_takes_names_and_nothing_that_leads_elsewhere`, cli.rs |
//! | CVE-2024-32462 (flatpak), CVE-2020-17367 (firejail) words of the program taken for options | kernel.rs |
//! | CVE-2019-12439 (bubblewrap) predictable folders in /tmp | kernel.rs |
//! | *cgroups, system calls, terminals* | |
//! | CVE-2022-0492 (kernel) release_agent | cgroup.rs `the_command_sees_its_own_cgroups_and_cannot_change_them` |
//! | CVE-2023-25809 (runc) cgroups of the user are writable | kernel.rs |
//! | cgroup paths that lead elsewhere (crun) | kernel.rs |
//! | CVE-2019-7303 (snap), CVE-2019-10063 (flatpak), CVE-2021-41133, CVE-2026-31431 arguments and calls that a filter forgot | seccomp.rs `what_a_container_has_no_business_with_is_refused` |
//! | keys of the caller | privileges.rs `the_keys_of_the_caller_are_out_of_reach` |
//! | CVE-2017-18367 (libseccomp-golang) conditions of one rule | seccomp.rs `a_profile_of_a_file_is_what_counts` |
//! | other ABIs (firejail) | seccomp.rs `the_calls_of_another_machine_are_refused` |
//! | CVE-2017-5226 (bubblewrap), CVE-2016-9016, CVE-2023-28100 typing on the caller's terminal | terminal.rs `no_process_inside_has_the_callers_terminal` |
//! | owner and mode of the terminal (lxc, runc) | terminal.rs `the_program_leads_a_session_on_a_terminal_of_the_containers` |
//!
//! Not ours, for want of the feature: copying files in and out, hooks, checkpoints, exec, a folder of records, BPF for
//! devices, the network's set-up, mounting cgroup2 for the host. Not covered, as the README says: devices by a cgroup
//! (GHSA-g54h-m393-cpwq), and masks that are locked against a container with SYS_ADMIN.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod handles;
mod image;
mod joining;
mod kernel;
mod paths;
mod races;

use std::ffi::OsStr;
use std::process::Command;

use common::{Finished, Rootfs, inside, inside_as_user, launcher, launcher_as_user};

/// launcher by root or by the ordinary user.
fn launcher_of<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(is_user: bool, args: I) -> Command {
    if is_user { launcher_as_user(args) } else { launcher(args) }
}

/// Runs a script in a container of root's or of the ordinary user's.
#[track_caller]
fn inside_of(is_user: bool, rootfs: &Rootfs, options: &[&str], script: &str) -> Finished {
    if is_user { inside_as_user(rootfs, options, script) } else { inside(rootfs, options, script) }
}
