//! Every number of a system call: which the filter answers, and how.

use std::collections::BTreeMap;

use crate::common::Rootfs;
use crate::{launcher_of, require};

/// Refused with EPERM on x86-64, in the order of their numbers.
const REFUSED: &str = "syslog=103 uselib=134 ustat=136 sysfs=139 vhangup=153 pivot_root=155 _sysctl=156 acct=163 \
    settimeofday=164 mount=165 umount2=166 swapon=167 swapoff=168 reboot=169 sethostname=170 setdomainname=171 iopl=172 \
    ioperm=173 init_module=175 delete_module=176 quotactl=179 lookup_dcookie=212 clock_settime=227 mbind=237 \
    set_mempolicy=238 get_mempolicy=239 kexec_load=246 add_key=248 request_key=249 keyctl=250 migrate_pages=256 \
    move_pages=279 perf_event_open=298 fanotify_init=300 open_by_handle_at=304 setns=308 kcmp=312 finit_module=313 \
    kexec_file_load=320 bpf=321 userfaultfd=323 io_uring_setup=425 io_uring_enter=426 io_uring_register=427 \
    open_tree=428 move_mount=429 fsopen=430 fsconfig=431 fsmount=432 fspick=433 pidfd_getfd=438 process_madvise=440 \
    mount_setattr=442 quotactl_fd=443 set_mempolicy_home_node=450 lsm_get_self_attr=459 lsm_set_self_attr=460 \
    lsm_list_modules=461 open_tree_attr=467";

/// Answered with ENOSYS on x86-64: what no kernel has any more, clone3, whose arguments a filter cannot see, Landlock's, and
/// all that is newer than the filter, whatever it may do (CVE-2021-41133). Then x32's numbers.
const UNKNOWN: &str = "174,177-178,180-185,214-215,236,337-423,435,444-446,468-1100,1073741824-1073742423";

/// What the probe said of each number.
fn answers(is_user: bool, probe: &[&str]) -> BTreeMap<u32, i32> {
    let rootfs = Rootfs::for_user();
    let words = [&["--rootfs", rootfs.arg(), "--", "/probe"][..], probe].concat();
    let out = crate::common::run(&mut launcher_of(is_user, words)).expect(0).out;
    let pair = |line: &str| {
        let (number, errno) = line.split_once(' ').unwrap();
        (number.parse().unwrap(), errno.parse().unwrap())
    };
    out.lines().map(pair).collect()
}

#[test]
fn cve_2021_41133_every_call_is_answered_as_the_table_says() {
    require!(root);
    if cfg!(target_arch = "x86_64") {
        let number = |word: &str| word.split_once('=').unwrap().1.parse().unwrap();
        let refused: Vec<u32> = REFUSED.split_whitespace().map(number).collect();
        for is_user in [false, true] {
            let found = answers(is_user, &["numbers", "1100"]);
            assert!(found.len() > 1090, "{} numbers", found.len());
            for (number, errno) in found {
                let want = if refused.contains(&number) { libc::EPERM } else { libc::ENOSYS };
                assert_eq!(errno, want, "{is_user} {number}");
            }
            // Those that the filter knows nothing of do not get to the kernel, some of which it may know.
            let found = answers(is_user, &["reach", UNKNOWN]);
            assert!(found.len() > 1300, "{} numbers", found.len());
            for (number, errno) in found {
                assert_eq!(errno, libc::ENOSYS, "{is_user} {number}");
            }
        }
    }
}
