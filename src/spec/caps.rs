//! Capabilities by name.

/// A set of capabilities: bit n is capability n of capabilities(7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CapSet(pub(crate) u64);

/// Names in the order of their numbers, without `CAP_`, as in linux/capability.h of Linux 5.9 (41 of them).
pub(crate) const NAMES: &str = "\
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable \
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot \
    sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease \
    audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read \
    perfmon bpf checkpoint_restore";

impl CapSet {
    /// Every capability there is or will be.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// None.
    pub(crate) const NONE: Self = Self(0);
    /// CAP_KILL alone: what an init needs to signal an entrypoint of another user.
    pub(crate) const KILL: Self = Self(1 << 5);
    /// CAP_SYS_ADMIN alone: what making namespaces needs.
    pub(crate) const SYS_ADMIN: Self = Self(1 << 21);
    /// Number of the capability to become another group, and to set the groups.
    pub(crate) const SETGID: u32 = 6;
    /// Number of the capability to give up others for good.
    pub(crate) const SETPCAP: u32 = 8;
    /// Number of the capability to look into any process.
    pub(crate) const SYS_PTRACE: u32 = 19;
    /// Number of the capability to go beyond limits.
    pub(crate) const SYS_RESOURCE: u32 = 24;
    /// Number of the capability to make device nodes.
    pub(crate) const MKNOD: u32 = 27;
    /// Docker's fourteen: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
    /// MKNOD AUDIT_WRITE SETFCAP. Docker can give MKNOD away because its device cgroup stands behind it; we can where our
    /// filter does, which costs nothing.
    pub(crate) const DEFAULT: Self = Self(1 << Self::MKNOD | Self::NO_NODES.0);
    /// The same but MKNOD: the default where nothing stands behind it, and what the default filter is made for.
    pub(crate) const NO_NODES: Self = Self(0xa004_25fb);

    /// The number of a capability by its name, any case, with or without `CAP_`. `ALL` is every one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("cap_").unwrap_or(&lower).as_bytes();
        if bare == b"all" {
            return Some(Self::ALL);
        }
        names().position(|known| known == bare).map(|number| Self(1 << number))
    }

    /// Both sets together.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether capability number `capability` is in the set.
    pub(crate) const fn contains(self, capability: u32) -> bool {
        self.0 >> capability & 1 == 1
    }
}

/// The names one by one. As bytes: split as text they would bring in all that std knows about letters.
fn names() -> impl Iterator<Item = &'static [u8]> {
    NAMES.as_bytes().split(|byte| *byte == b' ')
}

impl std::fmt::Display for CapSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::ALL => return f.write_str("all"),
            Self::NONE => return f.write_str("none"),
            _ => {}
        }
        let mut comma = "";
        for (name, number) in names().zip(0..) {
            if self.contains(number) {
                f.write_str(comma)?;
                f.write_str(std::str::from_utf8(name).unwrap_or_default())?;
                comma = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_dockers() {
        assert_eq!(CapSet::DEFAULT.0.count_ones(), 14);
        let text = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,\
                    sys_chroot,mknod,audit_write,setfcap";
        assert_eq!(CapSet::DEFAULT.to_string(), text);
        assert_eq!(CapSet::NO_NODES.to_string(), text.replace("mknod,", ""));
    }

    #[test]
    fn names_are_found_in_any_spelling() {
        for (text, want) in [
            ("chown", Some(1)),
            ("CAP_KILL", Some(1 << 5)),
            ("cap_checkpoint_restore", Some(1 << 40)),
            ("all", Some(u64::MAX)),
            ("cap_", None),
            ("nothing", None),
        ] {
            assert_eq!(CapSet::parse(text).map(|set| set.0), want, "{text}");
        }
    }
}
