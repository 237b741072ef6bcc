//! The seccomp filter of the entrypoint: which system calls it may make. Compiled by build.rs for the default
//! capabilities, by the same code here for others.

mod compile;
pub(crate) mod docker;
#[cfg(test)]
mod generate;
mod profile;
#[cfg(test)]
mod table;

use std::fmt::{self, Display};

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::packed::{Fill, filled};
use crate::sys;
use crate::text::Show;
use docker::Facts;
use generated::{DEFAULT, MACHINE, MAP, OPENED};

/// What build.rs made for this target.
#[allow(clippy::unreadable_literal, reason = "nobody reads it")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));
}

/// Linux 4.8, as [`sys::process::kernel_version`] says it.
const FILTERS_AFTER_TRACING: u32 = 4 << 16 | 8;

/// A filter, ready for the kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Filter {
    /// Where it comes from, in words.
    name: &'static str,
    /// See compile.rs.
    program: &'static [u64],
    /// `SECCOMP_FILTER_FLAG_*`.
    flags: u32,
}

impl Filter {
    /// The default profile for a container with these capabilities in its bounding set, on a kernel of this version.
    pub(crate) fn standard(bounding: u64, kernel: u32) -> Self {
        let tracing = u64::from(kernel >= FILTERS_AFTER_TRACING) << profile::FILTERED_AFTER_TRACING;
        let names = (1 << profile::FILTERED_AFTER_TRACING) - 1;
        let opened = profile::opened(bounding & names | tracing);
        let program = if opened == OPENED {
            &DEFAULT[..]
        } else {
            let newer = compile::NO_SUCH_CALL;
            compile::compile(MACHINE, newer, newer, &profile::rules(opened, &MAP)).leak()
        };
        // Without the flag kernels before 5.16 slow down the whole program against a leak of memory between parts of
        // one process; container and host are apart without it, and so do later kernels think.
        Self { name: "the default", program, flags: sys::seccomp::SPEC_ALLOW }
    }

    /// The profile of a file.
    ///
    /// # Errors
    /// It is no profile, or one that the kernel has no room for.
    pub(crate) fn of_file(file: &std::path::Path, text: &str, facts: Facts) -> Result<Self> {
        let within = |error: Error| error.within(filled!("seccomp profile {}", file.shown()));
        let (program, flags) = docker::read(text, facts).map_err(within)?;
        if program.len() > compile::LONGEST {
            let length = program.len();
            return Err(within(Error::new(filled!(
                "{} instructions, of which the kernel takes 4096",
                &length
            ))));
        }
        Ok(Self { name: filled!("{} as", file.shown()).text().leak(), program: program.leak(), flags })
    }

    /// Puts it in force for the calling process and all that it makes; for good. System calls only.
    pub(crate) fn install(&self) -> std::result::Result<(), Errno> {
        sys::seccomp::install(self.program, self.flags)
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        filled!("install {} seccomp filter", self.name).put(f)
    }
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
mod tests;
