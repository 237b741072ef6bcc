//! What can be said in advance about the value of an option.

use super::cli::models::MODELS;
use super::cli::options::{Id, Opt};
use super::cli::signals;
use super::spec::caps;
use super::spec::process::RLIMITS;

/// Where a namespace may come from; what ends in `:` wants more.
const PLACES: &str = "new private host ns: container:";

/// How the value of an option is completed: a kind that each shell's template knows, and for some the words themselves.
/// Empty if nothing is known, which is no fault: most options speak by the word for their value alone.
pub(super) fn of(option: &Opt) -> String {
    match (option.id, option.value()) {
        (Id::As, _) => format!("words {}", models()),
        (Id::CapAdd | Id::CapDrop | Id::Ambient, _) => "capabilities".to_owned(),
        (Id::Rewrite, _) => "rewrites".to_owned(),
        (Id::SecurityOpt, _) => {
            "words seccomp=unconfined seccomp=builtin no-new-privileges=true no-new-privileges=false"
                .to_owned()
        }
        (Id::Network, _) => format!("places none {PLACES}"),
        (Id::Userns, _) => format!("places auto keep-id {PLACES}"),
        (_, "WHERE") => format!("places {PLACES}"),
        (Id::OnExit | Id::OnFail, _) => "words poweroff reboot halt panic shell hang exec:".to_owned(),
        (Id::Restart, _) => "words no on-failure always on-failure: always:".to_owned(),
        (Id::RootMode, _) => "words ro rw".to_owned(),
        (Id::RootType, _) => "words ext4 squashfs erofs".to_owned(),
        (_, "0|1") => "words 0 1".to_owned(),
        (_, "WHOM") => "words child group all".to_owned(),
        (_, "SIGNAL") => "signals".to_owned(),
        (_, "DIR") => "folders".to_owned(),
        (_, "FILE" | "DIR|FILE" | "FILE[,FILE]") => "files".to_owned(),
        (_, "NAME[=VALUE]") => "variables".to_owned(),
        (_, "NAME=SOFT[:HARD]") => format!("words {}", rlimits()),
        (_, "CLOCK=SECONDS") => "words boottime= monotonic=".to_owned(),
        _ => String::new(),
    }
}

/// Every name of a model, and our own.
fn models() -> String {
    MODELS.iter().map(|model| model.name).chain(["launcher"]).collect::<Vec<_>>().join(" ")
}

/// Resource limits, to be gone on with.
fn rlimits() -> String {
    RLIMITS.map(|(name, _)| format!("{name}=")).join(" ")
}

/// Signals by name.
pub(super) fn signals() -> String {
    format!("{} RTMIN RTMAX", signals::NAMES)
}

/// Capabilities by name, as docker's users write them.
pub(super) fn capabilities() -> String {
    format!("ALL {}", caps::NAMES.to_ascii_uppercase())
}
