//! Modules of the kernel.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::cvt;

/// `finit_module(2)`, Linux 3.8, without parameters; `is_compressed`: the kernel unpacks it (MODULE_INIT_COMPRESSED_FILE,
/// linux/module.h, Linux 5.17; EINVAL before).
pub(crate) fn load(file: BorrowedFd<'_>, is_compressed: bool) -> Result<(), Errno> {
    let flags = if is_compressed { 4 } else { 0 };
    // SAFETY: the parameters are an empty string literal, which the kernel copies.
    cvt(unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) }).map(drop)
}
