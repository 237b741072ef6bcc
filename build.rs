//! Three things the compiler cannot know: the commit, the seccomp filter, and where a system without rustup keeps musl.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The capabilities of a container by default.
#[allow(dead_code, reason = "launcher uses the rest")]
#[path = "src/spec/caps.rs"]
mod caps;
/// The compiler and the profile, as launcher has them.
#[allow(dead_code, reason = "launcher and its tests use the rest")]
#[path = "src/primitives/seccomp"]
mod seccomp {
    pub(crate) mod compile;
    pub(crate) mod generate;
    pub(crate) mod profile;
    pub(crate) mod table;
}

/// What a step of this script ends with.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Every step prints its own lines; the first failure ends the build with its message.
fn main() -> Result<()> {
    // src, for the "-dirty" of the version; cargo adds this file and Cargo.toml only if nothing is named
    for path in ["build.rs", "Cargo.toml", "src"] {
        println!("cargo:rerun-if-changed={path}");
    }
    export_version();
    if env::var_os("CARGO_FEATURE_CONTAINER").is_some() {
        generate_filter()?;
    }
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        find_musl()?;
        pack_relocations();
    }
    Ok(())
}

/// Has the relocations packed where LLVM's linker is used (lld.toml) and we can apply them: src/sys/relocate.rs.
fn pack_relocations() {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_x86 = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64");
    if is_x86 && flags.contains("-fuse-ld=lld") {
        println!("cargo:rustc-link-arg-bins=-Wl,--pack-dyn-relocs=relr,--entry=launcher_start");
    }
}

/// `LAUNCHER_GIT`: the commit for `--version`; "unknown" in a tarball, unless the environment says it.
fn export_version() {
    println!("cargo:rerun-if-env-changed=LAUNCHER_GIT");
    let given = env::var("LAUNCHER_GIT").ok().filter(|version| !version.is_empty());
    let version = given.or_else(git_version).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=LAUNCHER_GIT={version}");
}

/// The commit as `git describe` names it; `None` without git, without a repository, without a commit.
fn git_version() -> Option<String> {
    // Only our own repository: an unpacked tarball may lie inside somebody else's.
    if !Path::new(".git").exists() {
        return None;
    }
    let branch = output(Command::new("git").args(["symbolic-ref", "-q", "HEAD"]));
    for name in ["HEAD", branch.as_deref().unwrap_or("packed-refs")] {
        // git says where the file is: in a worktree .git is not a folder
        let path = output(Command::new("git").args(["rev-parse", "--git-path", name]))?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    output(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))
}

/// `seccomp.rs` for src/primitives/seccomp/mod.rs: the tables of the target, and the compiled filter.
fn generate_filter() -> Result<()> {
    use seccomp::generate::{TARGETS, granted, map, names, paired, program};
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let (_, column, machine) = TARGETS
        .into_iter()
        .find(|(name, ..)| *name == arch)
        .ok_or_else(|| format!("src/primitives/seccomp/table.rs has no system calls of {arch}"))?;
    let map = map(column);
    let caps = caps::CapSet::NO_NODES.0;
    let (names, slots) = names(column);
    let (names, pairs) = paired(names);
    let list = |name: &str, kind: &str, len: usize, values: String| {
        format!("/// See generate.rs.\npub(super) static {name}: [{kind}; {len}] = {values};\n")
    };
    let program = program(machine, &map, caps);
    let opened = seccomp::profile::opened(granted(caps));
    let text = [
        format!("/// The machine we are built for.\npub(super) const MACHINE: u32 = {machine};\n"),
        format!(
            "/// The groups that a container has open by default.\npub(super) const OPENED: u32 = {opened};\n"
        ),
        list("MAP", "u16", map.len(), format!("{map:?}")),
        list("NAMES", "u8", names.len(), format!("{names:?}")),
        list("PAIRS", "[u8; 2]", pairs.len(), format!("{pairs:?}")),
        list("SLOTS", "u8", slots.len(), format!("{slots:?}")),
        list("DEFAULT", "u64", program.len(), format!("{program:?}")),
    ];
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("seccomp.rs"), text.concat())?;
    Ok(())
}

/// Lets rustc link against the musl of the system when the toolchain brings none, as Debian's.
fn find_musl() -> Result<()> {
    for name in ["MUSL_DIR", "CC"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let target = env::var("TARGET")?;
    let sysroot = output(Command::new(env::var("RUSTC")?).args(["--print", "sysroot"]))
        .ok_or("rustc has no sysroot")?;
    if Path::new(&sysroot).join("lib/rustlib").join(&target).join("lib/self-contained/crt1.o").exists() {
        return Ok(());
    }
    let musl = musl_dir()?;
    if !musl.join("libc.a").exists() {
        return Err(format!("no libc.a in {}: install musl-dev, or set MUSL_DIR", musl.display()).into());
    }
    let unwind = PathBuf::from(env::var("OUT_DIR")?);
    // rustc asks for libunwind.a, but where panics abort at once nothing unwinds: an empty archive will do.
    fs::write(unwind.join("libunwind.a"), "!<arch>\n")?;
    for dir in [musl, gcc_dir()?, unwind] {
        println!("cargo:rustc-link-search=native={}", dir.display());
    }
    Ok(())
}

/// `MUSL_DIR`, which a cross build sets, or else where Debian puts this machine's musl.
fn musl_dir() -> Result<PathBuf> {
    let debian = || Ok(format!("/usr/lib/{}-linux-musl", env::var("CARGO_CFG_TARGET_ARCH")?).into());
    env::var_os("MUSL_DIR").map_or_else(debian, |dir| Ok(dir.into()))
}

/// The folder of crtbeginS.o and libgcc.a.
fn gcc_dir() -> Result<PathBuf> {
    let cc = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let libgcc =
        output(Command::new(&cc).arg("-print-libgcc-file-name")).ok_or_else(|| format!("cannot run {cc}"))?;
    Ok(Path::new(&libgcc).parent().ok_or("libgcc has no folder")?.to_owned())
}

/// What the command printed, if it worked and printed anything.
fn output(command: &mut Command) -> Option<String> {
    let done = command.output().ok().filter(|done| done.status.success())?;
    let text = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
