//! Loads modules of the kernel: files, in the order in which they are named. Nothing is looked up that they depend on.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::{Error, Result};
use crate::packed::{filled, packed};
use crate::sys;
use crate::text::Show;

/// Loads one. That it is loaded already, or built in, is well.
///
/// # Errors
/// It is not there, or the kernel does not take it.
pub(crate) fn load(path: &str) -> Result<()> {
    let is_compressed = is_compressed(path);
    let path = Path::new(path);
    let loaded = sys::path::open(path, OFlag::O_RDONLY)
        .and_then(|file| sys::module::load(file.as_fd(), is_compressed));
    let errno = match loaded {
        Ok(()) | Err(Errno::EEXIST) => return Ok(()),
        Err(errno) => errno,
    };
    let error = Error::os(filled!("load the module {}", path.shown()), errno);
    Err(match errno {
        Errno::ENOSYS => error.hint(packed!("the kernel takes no modules (CONFIG_MODULES)")),
        Errno::EINVAL | Errno::EOPNOTSUPP if is_compressed => error.hint(packed!(
            "the kernel does not unpack it (CONFIG_MODULE_DECOMPRESS, Linux 5.17): unpack the file"
        )),
        Errno::ENOEXEC => error.hint(packed!("it is no module of this very kernel: compare uname -r")),
        Errno::ENOENT if sys::path::stat(path).is_ok() => {
            error.hint(packed!("what it depends on must be loaded before: see modinfo"))
        }
        _ => error,
    })
}

/// Whether the name says so; the kernel tries the one kind that it was built for.
fn is_compressed(name: &str) -> bool {
    [".xz", ".gz", ".zst"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_files_are_told_by_their_names() {
        for (name, want) in [("a.ko", false), ("/m/a.ko.xz", true), ("a.ko.gz", true), ("a.ko.zst", true)] {
            assert_eq!(is_compressed(name), want, "{name}");
        }
    }

    #[test]
    fn a_missing_file_is_named_without_a_guess() {
        let error = load("/missing.ko").unwrap_err();
        assert_eq!(error.to_string(), "load the module /missing.ko: No such file or directory (ENOENT)");
    }
}
