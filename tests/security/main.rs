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
//! | CVE-2015-1334 (lxc-attach) writes to the /proc of who is joined | joining.rs |
//! | CVE-2026-109569 (sandboxed.sh) joining without the other's root | root.rs `the_mounts_and_the_ids_of_another_container_can_be_joined` |
//! | working directory from before the root changed (firejail) | root.rs, rootless.rs `the_command_starts_in_the_root_of_the_container` |
//! | the old root | root.rs, rootless.rs `the_root_of_the_host_is_out_of_reach` |
//! | *paths that the image decides* | |
//! | CVE-2015-1335 (lxc), CVE-2015-3629, docker#5656, CVE-2026-87766 (bubblewrap) places that are links | mounts.rs `links_of_the_image_do_not_lead_out` |
//! | CVE-2019-18837 (crun) chains of links | paths.rs, and as before |
//! | CVE-2019-19921, CVE-2023-27561, CVE-2023-28642 (runc), CVE-2025-54867 (youki) /proc, /sys are links | root.rs `a_rootfs_cannot_lead_mounts_astray`; rootless: paths.rs |
//! | CVE-2026-41579 (runc), CVE-2026-47766 (crun) /dev is a link | the same two |
//! | CVE-2026-88264 (crun), CVE-2025-52565 (runc) /dev/console, /dev/pts/0 of the image | terminal.rs `what_an_image_has_in_dev_is_neither_followed_nor_changed` |
//! | CVE-2025-31133 (runc), CVE-2025-62161 (youki) /dev/null of the image as a mask | paths.rs; that changes meanwhile: races.rs |
//! | CVE-2026-88265 (crun) /dev/null of the image as a standard stream | paths.rs |
//! | CVE-2026-115521 (crun) a read-only root by way of the image's /proc | image.rs |
//! | CVE-2026-40226 (nspawn) settings beside the image, or in it | image.rs |
//! | CVE-2025-24965 (crun) files of ours in the image | paths.rs |
//! | places made in the source of a read-only bind (crun) | mounts.rs `nothing_is_made_in_what_is_mounted_read_only` |
//! | CVE-2021-30465, CVE-2024-45310 (runc), CVE-2024-42472 (flatpak), GHSA-9m95-8hx6-7p9v (umoci), incus 48749 races | races.rs |
//! | CVE-2016-3697, CVE-2024-40635, GO-2026-5475 passwd and group of the image | identity.rs `who_is_not_there_is_refused_by_name`, `tables_that_are_no_files_are_refused_at_once` |
//! | CVE-2017-1002101 (kubernetes), CVE-2024-0132, CVE-2024-0133 (nvidia), CVE-2024-1753, CVE-2024-9341 (podman), GHSA-j9hf-98c3-wrm8 (cri-o), incus 48750, 48752, 63125, CVE-2026-53489 files of the image that an engine reads or writes | nothing is read but the same tables, nothing written: image.rs, paths.rs |
//! | *the kernel's own files* | |
//! | CVE-2019-16884, CVE-2025-52881 (runc), CVE-2025-62596 (youki) writes to /proc go elsewhere | privileges.rs `a_parameter_is_not_written_to_what_covers_it`; while somebody covers and uncovers it: races.rs |
//! | CVE-2022-0811 (cri-o) parameters of the machine | privileges.rs `parameters_of_the_machine_are_not_for_a_container` |
//! | core_pattern and the like for the host's root in a user namespace (bubblewrap) | kernel.rs |
//! | GHSA-jq35-85cj-fj4p, GHSA-6fw5-f8r9-fgfm (moby) masks that are missing | root.rs `exactly_these_mounts_are_there`, `secrets_of_the_host_are_masked_and_its_knobs_read_only` |
//! | CVE-2014-5206, CVE-2014-5207, CVE-2014-9717 (kernel) masks taken away in a user namespace | kernel.rs |
//! | propagation of the host changed (runc) | mounts.rs `what_is_shared_goes_out_and_nothing_else`; without a mount namespace: kernel.rs |
//! | runc#2404 mounts left on the host, whose list changed while it was read | races.rs |
//! | runc#5258 options of the host's cgroup2 changed | kernel.rs |
//! | flags lost by a remount (crun) | mounts.rs `inherited_flags_stay_in_a_user_namespace` |
//! | errors of the set-up ignored (crun) | errors.rs |
//! | *ids and rights* | |
//! | CVE-2016-8867, CVE-2022-24769 (docker), CVE-2022-29162 (runc), CVE-2022-27650 (crun), GO-2022-0416 (podman) inheritable, ambient capabilities | privileges.rs `nothing_is_inheritable_that_was_not_asked_for` |
//! | CVE-2022-36109 (moby) groups of the caller | identity.rs `the_callers_groups_go_unless_they_are_to_stay` |
//! | CVE-2026-30892 (crun) user numbers read wrong | identity.rs `who_is_not_there_is_refused_by_name` |
//! | CVE-2018-7169, CVE-2016-6252 (shadow) groups dropped that deny | rootless.rs `one_id_is_enough_to_be_root_inside` |
//! | CVE-2018-18955 (kernel), maps of several lines (crun) | kernel.rs |
//! | CVE-2016-8659, CVE-2020-5291, CVE-2026-41163 (bubblewrap), CVE-2022-31214 and all others of firejail, snap-confine, lxc-user-nic, mount(8) set-user-id | kernel.rs |
//! | names that are paths (crun) | cgroup.rs `delete_takes_names_and_nothing_that_leads_elsewhere`, cli.rs |
//! | CVE-2024-32462 (flatpak), CVE-2020-17367 (firejail) words of the program taken for options | kernel.rs |
//! | CVE-2019-12439 (bubblewrap) predictable folders in /tmp | kernel.rs |
//! | *cgroups, system calls, terminals* | |
//! | CVE-2022-0492 (kernel) release_agent | cgroup.rs `the_command_sees_its_own_cgroups_and_cannot_change_them` |
//! | CVE-2023-25809 (runc) cgroups of the user are writable | kernel.rs |
//! | cgroup paths that lead elsewhere (crun) | kernel.rs |
//! | GHSA-g54h-m393-cpwq (runc) nodes made inside, of any device | kernel.rs; what may be opened: devices.rs |
//! | runc#5403 (kernel) what bpf(2) writes behind a short argument | src/sys/bpf.rs `the_attributes_have_room_for_what_kernels_write` |
//! | CVE-2019-7303 (snap), CVE-2019-10063 (flatpak), CVE-2026-31431 arguments that a filter forgot | seccomp.rs `what_a_container_has_no_business_with_is_refused` |
//! | CVE-2021-41133 (flatpak) calls that a filter does not know | calls.rs: every number |
//! | CVE-2022-0185, CVE-2024-1086 (kernel) what a user namespace opens | seccomp.rs `what_a_container_has_no_business_with_is_refused`, `an_ordinary_user_has_the_same_filter` |
//! | runc#5403 (kernel 6.17) BPF attributes that are written beyond their end | sys/bpf.rs `the_attributes_have_room_for_what_kernels_write` |
//! | keys of the caller | privileges.rs `the_keys_of_the_caller_are_out_of_reach` |
//! | CVE-2017-18367 (libseccomp-golang) conditions of one rule | seccomp.rs `a_profile_of_a_file_is_what_counts` |
//! | other ABIs (firejail, moby's socketcall): i386, x32 | seccomp.rs `the_calls_of_another_machine_are_refused`; every number of x32: calls.rs |
//! | CVE-2017-5226 (bubblewrap), CVE-2016-9016 (firejail), CVE-2016-10124 (lxc-attach), CVE-2016-2779, CVE-2016-2781 (util-linux, coreutils), shadow#1660, CVE-2023-28100 typing on the caller's terminal | terminal.rs `no_process_inside_has_the_callers_terminal`; without `-t`: kernel.rs |
//! | owner and mode of the terminal (lxc, runc) | terminal.rs `the_program_leads_a_session_on_a_terminal_of_the_containers` |
//! | CVE-2021-43784 (runc) lengths in messages between parent and child | the fuzz target `sync` |
//!
//! Not ours, for want of the feature: copying files in and out (CVE-2018-15664, CVE-2019-14271, CVE-2026-41567, GO-2026-5617,
//! GO-2026-5668, CVE-2019-10152), hooks (CVE-2025-23266), checkpoints (CVE-2026-115520, CVE-2026-119101, CVE-2026-119614), exec,
//! a folder of records (CVE-2015-1331, GO-2025-4100, GO-2024-2500), the network's set-up, registration with a daemon
//! (CVE-2026-4105), helpers and virtual machines (CVE-2023-0778, CVE-2026-84042, kata 47243). Not covered, as the README says:
//! masks and limits on devices that are locked against a container with SYS_ADMIN, and thermal_throttle of each processor
//! (GHSA-6fw5-f8r9-fgfm).
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
