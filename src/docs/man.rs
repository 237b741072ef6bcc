//! The man page: what its template needs of the tables, in man(7).

use super::cli;
use super::cli::init::settings;
use super::cli::models::MODELS;
use super::cli::options::{self, Group, Id, Opt};
use super::spec::init::Rules;
use super::{Lists, values};

/// How long a line may be.
const LINE: usize = 78;

/// For the man page.
pub(super) fn lists() -> Lists {
    let group = |group: Group| options::all().filter(|option| option.group == group).map(item).collect();
    let variables = settings().map(variable).collect::<Vec<_>>();
    let rules = [Rules::Tini, Rules::DumbInit, Rules::Catatonit, Rules::Pause];
    vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("common", group(Group::Common)),
        ("init", group(Group::Init)),
        ("process", group(Group::Process)),
        ("container", group(Group::Container)),
        ("board", group(Group::Board)),
        ("variables", paragraph(&format!("{}.", variables.join(", ")))),
        ("models", rules.map(model).concat()),
    ]
}

/// Plain text as roff prints it: a `-` that can be copied, no escapes.
fn plain(text: &str) -> String {
    text.replace('\\', r"\e").replace('-', r"\-")
}

/// Sentences in short lines, each from a line of its own on; none is taken for a request.
fn paragraph(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for word in text.split_whitespace().map(plain) {
        match lines.last_mut() {
            Some(line) if goes_on && line.len() + 1 + word.len() <= LINE => {
                line.push(' ');
                line.push_str(&word);
            }
            _ if word.starts_with(['.', '\'']) => lines.push(format!(r"\&{word}")),
            _ => lines.push(word.clone()),
        }
        goes_on = !word.ends_with('.');
    }
    lines.join("\n")
}

/// The word for a value: what the user replaces is in capitals, and becomes italic.
fn value(word: &str) -> String {
    let mut text = String::new();
    let mut is_italic = false;
    for letter in word.chars() {
        if letter.is_ascii_uppercase() != is_italic {
            is_italic = !is_italic;
            text.push_str(if is_italic { r"\fI" } else { r"\fR" });
        }
        text.push(letter);
    }
    if is_italic { text + r"\fR" } else { text }
}

/// One option: how it is written, its line of the table, and what there is to say beyond that.
fn item(option: &Opt) -> String {
    let letter = match option.short() {
        b'-' => String::new(),
        letter => format!(r"\fB\-{}\fR, ", char::from(letter)),
    };
    let space = if cli::takes_word(option) { " " } else { "" };
    let (name, value) = (plain(option.long()), value(option.value()));
    let text = paragraph(&format!("{}. {}", sentence(option), more(option.id)));
    format!(".TP\n{letter}\\fB\\-\\-{name}\\fR{space}{value}\n{text}\n")
}

/// The line of the table, as a sentence begins.
fn sentence(option: &Opt) -> String {
    // "This text" would be the page.
    let help = if option.id == Id::Help {
        "print a summary; as an option of run only --help".to_owned()
    } else {
        option.help().to_string()
    };
    let first = help.split(' ').next().unwrap_or_default();
    // What is typed as it is stays as it is.
    if values::of(option).split(' ').any(|value| value == first) {
        return help;
    }
    let (letter, rest) = help.split_at_checked(1).unwrap_or_default();
    letter.to_ascii_uppercase() + rest
}

/// What the one line of the table has no place for.
fn more(id: Id) -> &'static str {
    match id {
        Id::SignalTo => {
            "All is every process of the PID namespace, or where launcher is not PID 1 all that descend from it."
        }
        Id::Rewrite => "Signals by name or number, several pairs with commas between them.",
        Id::Single => {
            "By default the program leads a process group of its own, to which launcher gives the terminal if it has it."
        }
        Id::StopDelay => "A second one is passed on at once.",
        Id::StopTimeout => "Counted from when the signal is passed on.",
        Id::WaitAll => "The exit status stays the program's.",
        Id::EndOrphans => "They are looked for once a second, since the kernel tells nobody.",
        Id::Success => "Several with commas between them; 143 stands for a program that SIGTERM killed.",
        Id::ExitMap => "Several with commas between them.",
        Id::Report => {
            "One line: status, signal, times, memory used; or the error, if the program did not start. As long as the \
             program runs the file is empty."
        }
        Id::Verbose => "Once: starts and ends; twice: every signal.",
        Id::As => "Any of the names below is known, and launcher: by its own rules, whatever it is called.",
        Id::Tty => {
            "Signals of its keys go to what is in the foreground there; the caller's terminal is out of reach, and as it was \
             at the end."
        }
        Id::Interactive => {
            "The caller's terminal is raw meanwhile; of a pipe the end is told as by Ctrl-D. In the background launcher is \
             stopped until it is in the foreground."
        }
        Id::Workdir => "For run an absolute path in the container, / by default.",
        Id::User => "The group is 0 if none is given; other groups are given up.",
        Id::Umask => "For run 022 by default.",
        Id::Ulimit => {
            "Names are docker's, such as nofile, nproc, core, memlock; a limit is a number or unlimited. Without HARD \
             both are the same."
        }
        Id::Rootfs => {
            "Mount points that are missing in it (/proc, /sys, /dev) are made and stay, but for --ephemeral. Without \
             this option the container keeps the root of the host."
        }
        Id::Hostname => "By default the name of the container, or launcher.",
        Id::Memory => "As much swap again may be used, unless --memory-swap says otherwise.",
        Id::Cgroup => {
            "In the kernel's format, by names of the version that the machine has: memory.high=64m is of 2."
        }
        Id::CgroupParent => {
            "An absolute path in the hierarchy; folders that are missing are made, and removed again."
        }
        Id::Network => "Where the network is from. Default: new.",
        Id::Pid | Id::Ipc | Id::Uts | Id::Cgroupns | Id::Mntns => "Default: new.",
        Id::Userns => "Default: host for root, new for others.",
        Id::TimeOffset => "Makes a time namespace.",
        Id::SecurityOpt => {
            "seccomp=FILE is a profile of system calls in docker's format, seccomp=builtin the default one, \
             seccomp=unconfined none. no-new-privileges=false lets set-id programs and file capabilities work."
        }
        Id::Privileged => "Set-id programs work as well.",
        Id::DryRun => "Errors name its steps.",
        _ => more_for_machines(id),
    }
}

/// The same for the init of a machine.
fn more_for_machines(id: Id) -> &'static str {
    match id {
        Id::Boot => {
            "By itself launcher is it as PID 1 of the first PID namespace with the right to reboot. 1 is for the PID 1 of \
             another namespace, as an argument only; reboot(2) ends that namespace."
        }
        Id::Modules => "Names that end in .xz, .gz or .zst are for kernels that unpack them.",
        Id::Root => "An initramfs is freed when the root changes.",
        Id::RootType => "ext4, squashfs and erofs are told by their first bytes.",
        Id::RootOverlay => "On a device with ext4 the folders upper and work are used, and made.",
        Id::Restart => {
            "Between two starts pass 0.1 to 5 seconds; more than N of them within T seconds are a failure."
        }
        Id::OnExit => "poweroff by default.",
        Id::OnFail => {
            "As --on-exit by default. A program that ends with another status than 0, or that cannot be started, has failed."
        }
        Id::Watchdog => "It is left armed when the machine goes down, so that a hanging end is an end too.",
        Id::HealthCmd => {
            "Words with blanks between, run on the machine; LAUNCHER_PID is the process of the program there."
        }
        Id::ExitPort => "QEMU's isa-debug-exit is one.",
        Id::StopSignal => "After --stop-timeout seconds (10) everything is killed.",
        _ => "",
    }
}

/// The variable of an option.
fn variable(option: &Opt) -> String {
    option.long().to_ascii_uppercase().replace('-', "_")
}

/// One set of rules: the names that follow it, its options, and how it differs.
fn model(rules: Rules) -> String {
    let models: Vec<_> = MODELS.iter().filter(|model| model.rules == rules).collect();
    let names: Vec<_> = models.iter().map(|model| format!(r"\fB{}\fR", plain(model.name))).collect();
    let (letters, long) = models.first().map_or(("", ""), |model| (model.letters, model.names));
    let letters = letters.chars().map(|letter| format!("-{letter}"));
    let options: Vec<_> = letters.chain(long.split(' ').map(|name| format!("--{name}"))).collect();
    let text = match rules {
        Rules::Launcher => "",
        Rules::Tini => "A failure of its own exits with 1.",
        Rules::DumbInit => {
            "The program leads a session, and signals go to its process group; with -c it stays where it is and is \
             signalled alone. TSTP, TTIN and TTOU stop the group, then dumb-init itself. When the program has ended, TERM \
             goes to what is left of the group. A failure of its own exits with 1, a program that cannot be executed with \
             2."
        }
        Rules::Catatonit => "TSTP, TTIN and TTOU are dropped. Every failure exits with 1.",
        Rules::Pause => {
            "No program is run: TERM or INT ends it, with status 0. -v in any place prints the version. Every failure \
             exits with 1."
        }
    };
    format!(".TP\n{}\n{}\n", names.join(", "), paragraph(&format!("Options: {}. {text}", options.join(" "))))
}
