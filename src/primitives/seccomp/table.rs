//! Every system call that there is a reason to know, in groups whose rules are in profile.rs, in the same order.
//!
//! For each call its name and its number on x86-64, on aarch64 and riscv64, and on arm; `-` where there is none, one
//! number where it is the same everywhere. Linux 6.15. Not here, and so unknown to the container, are calls that no
//! kernel has any more. This text is not in launcher: build.rs makes of it what the target needs.

/// The calls of each group.
pub(crate) const CALLS: [&str; super::profile::GROUPS.len()] = [
    // What programs need.
    "read 0 63 3; write 1 64 4; open 2 - 5; close 3 57 6; stat 4 - 106; fstat 5 80 108; lstat 6 - 107; \
     poll 7 - 168; lseek 8 62 19; mmap 9 222 -; mprotect 10 226 125; munmap 11 215 91; brk 12 214 45; \
     rt_sigaction 13 134 174; rt_sigprocmask 14 135 175; rt_sigreturn 15 139 173; pread64 17 67 180; \
     pwrite64 18 68 181; readv 19 65 145; writev 20 66 146; access 21 - 33; pipe 22 - 42; select 23 - -; \
     sched_yield 24 124 158; mremap 25 216 163; msync 26 227 144; mincore 27 232 219; madvise 28 233 220; \
     shmget 29 194 307; shmat 30 196 305; shmctl 31 195 308; dup 32 23 41; dup2 33 - 63; pause 34 - 29; \
     nanosleep 35 101 162; getitimer 36 102 105; alarm 37 - -; setitimer 38 103 104; getpid 39 172 20; \
     sendfile 40 71 187; connect 42 203 283; accept 43 202 285; sendto 44 206 290; recvfrom 45 207 292; \
     sendmsg 46 211 296; recvmsg 47 212 297; shutdown 48 210 293; bind 49 200 282; listen 50 201 284; \
     getsockname 51 204 286; getpeername 52 205 287; socketpair 53 199 288; setsockopt 54 208 294; \
     getsockopt 55 209 295; fork 57 - 2; vfork 58 - 190; execve 59 221 11; exit 60 93 1; wait4 61 260 114; \
     kill 62 129 37; uname 63 160 122; semget 64 190 299; semop 65 193 298; semctl 66 191 300; \
     shmdt 67 197 306; msgget 68 186 303; msgsnd 69 189 301; msgrcv 70 188 302; msgctl 71 187 304; \
     fcntl 72 25 55; flock 73 32 143; fsync 74 82 118; fdatasync 75 83 148; truncate 76 45 92; \
     ftruncate 77 46 93; getdents 78 - 141; getcwd 79 17 183; chdir 80 49 12; fchdir 81 50 133; \
     rename 82 - 38; mkdir 83 - 39; rmdir 84 - 40; creat 85 - 8; link 86 - 9; unlink 87 - 10; \
     symlink 88 - 83; readlink 89 - 85; chmod 90 - 15; fchmod 91 52 94; chown 92 - 182; fchown 93 55 95; \
     lchown 94 - 16; umask 95 166 60; gettimeofday 96 169 78; getrlimit 97 163 -; getrusage 98 165 77; \
     sysinfo 99 179 116; times 100 153 43; getuid 102 174 24; getgid 104 176 47; setuid 105 146 23; \
     setgid 106 144 46; geteuid 107 175 49; getegid 108 177 50; setpgid 109 154 57; getppid 110 173 64; \
     getpgrp 111 - 65; setsid 112 157 66; setreuid 113 145 70; setregid 114 143 71; getgroups 115 158 80; \
     setgroups 116 159 81; setresuid 117 147 164; getresuid 118 148 165; setresgid 119 149 170; \
     getresgid 120 150 171; getpgid 121 155 132; setfsuid 122 151 138; setfsgid 123 152 139; \
     getsid 124 156 147; capget 125 90 184; capset 126 91 185; rt_sigpending 127 136 176; \
     rt_sigtimedwait 128 137 177; rt_sigqueueinfo 129 138 178; rt_sigsuspend 130 133 179; \
     sigaltstack 131 132 186; utime 132 - -; statfs 137 43 99; fstatfs 138 44 100; \
     getpriority 140 141 96; setpriority 141 140 97; sched_setparam 142 118 154; sched_getparam 143 121 155; \
     sched_setscheduler 144 119 156; sched_getscheduler 145 120 157; sched_get_priority_max 146 125 159; \
     sched_get_priority_min 147 126 160; sched_rr_get_interval 148 127 161; mlock 149 228 150; \
     munlock 150 229 151; mlockall 151 230 152; munlockall 152 231 153; modify_ldt 154 - -; \
     prctl 157 167 172; arch_prctl 158 - -; adjtimex 159 171 124; setrlimit 160 164 75; sync 162 81 36; \
     gettid 186 178 224; readahead 187 213 225; setxattr 188 5 226; lsetxattr 189 6 227; \
     fsetxattr 190 7 228; getxattr 191 8 229; lgetxattr 192 9 230; fgetxattr 193 10 231; \
     listxattr 194 11 232; llistxattr 195 12 233; flistxattr 196 13 234; removexattr 197 14 235; \
     lremovexattr 198 15 236; fremovexattr 199 16 237; tkill 200 130 238; time 201 - -; futex 202 98 240; \
     sched_setaffinity 203 122 241; sched_getaffinity 204 123 242; set_thread_area 205 - -; \
     io_setup 206 0 243; io_destroy 207 1 244; io_getevents 208 4 245; io_submit 209 2 246; \
     io_cancel 210 3 247; get_thread_area 211 - -; epoll_create 213 - 250; remap_file_pages 216 234 253; \
     getdents64 217 61 217; set_tid_address 218 96 256; restart_syscall 219 128 0; semtimedop 220 192 312; \
     fadvise64 221 223 -; timer_create 222 107 257; timer_settime 223 110 258; timer_gettime 224 108 259; \
     timer_getoverrun 225 109 260; timer_delete 226 111 261; clock_gettime 228 113 263; \
     clock_getres 229 114 264; clock_nanosleep 230 115 265; exit_group 231 94 248; epoll_wait 232 - 252; \
     epoll_ctl 233 21 251; tgkill 234 131 268; utimes 235 - 269; mq_open 240 180 274; mq_unlink 241 181 275; \
     mq_timedsend 242 182 276; mq_timedreceive 243 183 277; mq_notify 244 184 278; \
     mq_getsetattr 245 185 279; waitid 247 95 280; ioprio_set 251 30 314; ioprio_get 252 31 315; \
     inotify_init 253 - 316; inotify_add_watch 254 27 317; inotify_rm_watch 255 28 318; openat 257 56 322; \
     mkdirat 258 34 323; fchownat 260 54 325; futimesat 261 - 326; newfstatat 262 79 -; \
     unlinkat 263 35 328; renameat 264 38 329; linkat 265 37 330; symlinkat 266 36 331; \
     readlinkat 267 78 332; fchmodat 268 53 333; faccessat 269 48 334; pselect6 270 72 335; \
     ppoll 271 73 336; set_robust_list 273 99 338; get_robust_list 274 100 339; splice 275 76 340; \
     tee 276 77 342; sync_file_range 277 84 -; vmsplice 278 75 343; utimensat 280 88 348; \
     epoll_pwait 281 22 346; signalfd 282 - 349; timerfd_create 283 85 350; eventfd 284 - 351; \
     fallocate 285 47 352; timerfd_settime 286 86 353; timerfd_gettime 287 87 354; accept4 288 242 366; \
     signalfd4 289 74 355; eventfd2 290 19 356; epoll_create1 291 20 357; dup3 292 24 358; pipe2 293 59 359; \
     inotify_init1 294 26 360; preadv 295 69 361; pwritev 296 70 362; rt_tgsigqueueinfo 297 240 363; \
     recvmmsg 299 243 365; fanotify_mark 301 263 368; prlimit64 302 261 369; name_to_handle_at 303 264 370; \
     clock_adjtime 305 266 372; syncfs 306 267 373; sendmmsg 307 269 374; getcpu 309 168 345; \
     sched_setattr 314 274 380; sched_getattr 315 275 381; renameat2 316 276 382; seccomp 317 277 383; \
     getrandom 318 278 384; memfd_create 319 279 385; execveat 322 281 387; membarrier 324 283 389; \
     mlock2 325 284 390; copy_file_range 326 285 391; preadv2 327 286 392; pwritev2 328 287 393; \
     pkey_mprotect 329 288 394; pkey_alloc 330 289 395; pkey_free 331 290 396; statx 332 291 397; \
     io_pgetevents 333 292 399; rseq 334 293 398; uretprobe 335 - -; uprobe 336 - -; pidfd_send_signal 424; \
     pidfd_open 434; close_range 436; openat2 437; faccessat2 439; epoll_pwait2 441; \
     memfd_secret 447; \
     process_mrelease 448; futex_waitv 449; cachestat 451; fchmodat2 452; map_shadow_stack 453; \
     futex_wake 454; futex_wait 455; futex_requeue 456; statmount 457; listmount 458; mseal 462; \
     setxattrat 463; getxattrat 464; listxattrat 465; removexattrat 466; riscv_hwprobe - 258 -; \
     riscv_flush_icache - 259 -; nice - - 34; sigaction - - 67; sigsuspend - - 72; sigpending - - 73; \
     sigreturn - - 119; sigprocmask - - 126; _llseek - - 140; _newselect - - 142; ugetrlimit - - 191; \
     mmap2 - - 192; truncate64 - - 193; ftruncate64 - - 194; stat64 - - 195; lstat64 - - 196; \
     fstat64 - - 197; lchown32 - - 198; getuid32 - - 199; getgid32 - - 200; geteuid32 - - 201; \
     getegid32 - - 202; setreuid32 - - 203; setregid32 - - 204; getgroups32 - - 205; setgroups32 - - 206; \
     fchown32 - - 207; setresuid32 - - 208; getresuid32 - - 209; setresgid32 - - 210; getresgid32 - - 211; \
     chown32 - - 212; setuid32 - - 213; setgid32 - - 214; setfsuid32 - - 215; setfsgid32 - - 216; \
     fcntl64 - - 221; sendfile64 - - 239; statfs64 - - 266; fstatfs64 - - 267; arm_fadvise64_64 - - 270; \
     send - - 289; recv - - 291; fstatat64 - - 327; arm_sync_file_range - - 341; clock_gettime64 - - 403; \
     clock_adjtime64 - - 405; clock_getres_time64 - - 406; clock_nanosleep_time64 - - 407; \
     timer_gettime64 - - 408; timer_settime64 - - 409; timerfd_gettime64 - - 410; timerfd_settime64 - - 411; \
     utimensat_time64 - - 412; pselect6_time64 - - 413; ppoll_time64 - - 414; io_pgetevents_time64 - - 416; \
     recvmmsg_time64 - - 417; mq_timedsend_time64 - - 418; mq_timedreceive_time64 - - 419; \
     semtimedop_time64 - - 420; rt_sigtimedwait_time64 - - 421; futex_time64 - - 422; \
     sched_rr_get_interval_time64 - - 423; breakpoint - - 983041; cacheflush - - 983042; set_tls - - 983045; \
     get_tls - - 983046",
    // What no program in a container needs, and what has no namespace: swap, keyrings, another kernel, moving
    // pages of others; and what the kernel is attacked by most: page faults handled in user space, io_uring.
    "uselib 134 - 86; ustat 136 - 62; sysfs 139 - 135; _sysctl 156 - 149; swapon 167 224 87; \
     swapoff 168 225 115; kexec_load 246 104 347; add_key 248 217 309; request_key 249 218 310; \
     keyctl 250 219 311; migrate_pages 256 238 400; move_pages 279 239 344; kexec_file_load 320 294 401; \
     userfaultfd 323 282 388; io_uring_setup 425; io_uring_enter 426; io_uring_register 427",
    // Mounts and other namespaces.
    "pivot_root 155 41 218; mount 165 40 21; umount2 166 39 52; sethostname 170 161 74; \
     setdomainname 171 162 121; quotactl 179 60 131; lookup_dcookie 212 18 249; fanotify_init 300 262 367; \
     setns 308 268 375; open_tree 428; move_mount 429; fsopen 430; fsconfig 431; fsmount 432; fspick 433; \
     mount_setattr 442; quotactl_fd 443; lsm_get_self_attr 459; lsm_set_self_attr 460; lsm_list_modules 461; \
     open_tree_attr 467",
    // Programs in the kernel.
    "bpf 321 280 386",
    // Performance counters.
    "perf_event_open 298 241 364",
    // The kernel's messages.
    "syslog 103 116 103",
    // Opening without a path: the way out of the containers of 2014.
    "open_by_handle_at 304 265 371",
    // Reboot.
    "reboot 169 142 88",
    // Another root.
    "chroot 161 51 61",
    // Kernel modules.
    "init_module 175 105 128; delete_module 176 106 129; finit_module 313 273 379",
    // Process accounting.
    "acct 163 89 51",
    // Looking into others; tracing them is below.
    "kcmp 312 272 378; pidfd_getfd 438; process_madvise 440",
    // Tracing: a tracer gets around the filter on kernels before 4.8.
    "ptrace 101 117 26; process_vm_readv 310 270 376; process_vm_writev 311 271 377",
    // Ports of the machine.
    "iopl 172 - -; ioperm 173 - -",
    // The clocks.
    "settimeofday 164 170 79; clock_settime 227 112 262; clock_settime64 - - 404",
    // Hanging up terminals.
    "vhangup 153 58 111",
    // Placement of memory.
    "mbind 237 235 319; set_mempolicy 238 237 321; get_mempolicy 239 236 320; set_mempolicy_home_node 450",
    // New processes, but no new namespaces.
    "clone 56 220 120; unshare 272 97 337",
    // The same with its flags in memory, where a filter cannot see them: the libraries fall back on clone. And Landlock,
    // which programs do without where it is not there: what the container may touch is --landlock's business.
    "clone3 435; landlock_create_ruleset 444; landlock_add_rule 445; landlock_restrict_self 446",
    // Sockets, but of the kinds in ANSWERS.
    "socket 41 198 281",
    // The personalities of ANSWERS.
    "personality 135 92 136",
    // Everything that a device can do, but what puts words into the mouth of a terminal.
    "ioctl 16 29 54",
    // Nodes.
    "mknod 133 - 14",
    // The same below a folder.
    "mknodat 259 33 324",
];
