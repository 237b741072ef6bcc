//! Kernel parameters that belong to a namespace, sysctl(8): those of no namespace are the host's.

use super::keep;
use super::namespaces::Kind;
use crate::error::{Error, Result};
use crate::packed::packed;
use crate::text;

/// One parameter and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sysctl {
    /// The file below /proc/sys.
    pub(crate) path: &'static str,
    /// What is written to it.
    pub(crate) value: &'static str,
    /// The namespace that it belongs to.
    pub(crate) kind: Kind,
}

impl Sysctl {
    /// No user namespace can be made in the user namespace that this is set in.
    pub(crate) const NO_USER_NAMESPACES: Self =
        Self { path: "user/max_user_namespaces", value: "0", kind: Kind::User };
}

/// Whose a parameter is. In a namespace of its own the kernel shows of net/ only what is there.
///
/// # Errors
/// Nobody's.
fn owner(path: &str) -> Result<Kind> {
    match text::cut(path, b'/').unwrap_or_default() {
        ("net", _) => Ok(Kind::Network),
        ("user", _) => Ok(Kind::User),
        ("fs", name) if name.starts_with("mqueue/") => Ok(Kind::Ipc),
        ("kernel", name) if matches!(name.get(..3), Some("msg" | "sem" | "shm")) => Ok(Kind::Ipc),
        ("kernel", "hostname" | "domainname") => {
            Err(Error::new(packed!("that is --hostname or --domainname")))
        }
        _ => Err(Error::new(packed!("it has no namespace: it would be set for the whole machine"))),
    }
}

/// Parses `KEY=VALUE`, with dots or slashes in the key as of sysctl(8): the first of either is the separator, and then the
/// other one stands for a dot in a name (`net.ipv4.conf.eth0/1.forwarding`).
///
/// # Errors
/// It could be a path that leads elsewhere (CVE-2022-0811), or it belongs to no namespace.
pub(crate) fn parse(text: &str) -> Result<Sysctl> {
    let (key, value) = text::cut(text, b'=').ok_or_else(|| Error::new(packed!("wanted is KEY=VALUE")))?;
    let has_dots = key.bytes().find(|byte| matches!(byte, b'.' | b'/')) == Some(b'.');
    let mut path = key.as_bytes().to_vec();
    let mut is_legal = true;
    for byte in &mut path {
        match byte {
            b'.' if has_dots => *byte = b'/',
            b'/' if has_dots => *byte = b'.',
            byte => is_legal &= byte.is_ascii_alphanumeric() || b"_-./".contains(byte),
        }
    }
    if !is_legal || path.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
        return Err(Error::new(packed!(
            "a key has letters, digits, '_' and '-' between its dots or slashes"
        )));
    }
    let path: &str = String::from_utf8(path).unwrap_or_default().leak();
    Ok(Sysctl { path, value: keep(value), kind: owner(path)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_namespace_and_lead_nowhere_else() {
        for (text, want) in [
            ("net.ipv4.ip_forward=1", Some("net/ipv4/ip_forward")),
            ("net/ipv4/ip_forward=1", Some("net/ipv4/ip_forward")),
            ("net.ipv4.conf.eth0/1.forwarding=1", Some("net/ipv4/conf/eth0.1/forwarding")),
            ("net/ipv4/conf/eth0.1/forwarding=1", Some("net/ipv4/conf/eth0.1/forwarding")),
            ("net.ipv4.ping_group_range=0 0", Some("net/ipv4/ping_group_range")),
            ("kernel.shmmax=1", Some("kernel/shmmax")),
            ("kernel.shm_rmid_forced=1", Some("kernel/shm_rmid_forced")),
            ("kernel.sem=1 2 3 4", Some("kernel/sem")),
            ("kernel.msgmni=1", Some("kernel/msgmni")),
            ("fs.mqueue.msg_max=1", Some("fs/mqueue/msg_max")),
            ("user.max_user_namespaces=0", Some("user/max_user_namespaces")),
            ("net.core.somaxconn=", Some("net/core/somaxconn")),
            ("kernel.core_pattern=|/x", None),
            ("kernel/core_pattern=|/x", None),
            ("kernel.hostname=x", None),
            ("kernel.domainname=x", None),
            ("kernel.shmmax", None),
            ("net/../kernel/panic=1", None),
            ("net.//.kernel.panic=1", None),
            ("net./.kernel.panic=1", None),
            ("net..panic=1", None),
            ("net.=1", None),
            (".net.ipv4.ip_forward=1", None),
            ("/net/ipv4/ip_forward=1", None),
            ("/proc/sys/net/ipv4/ip_forward=1", None),
            ("net.ipv4.ip_forward+kernel.shm_rmid_forced=1", None),
            ("kernel.shm_rmid_forced=1+kernel.core_pattern=x", Some("kernel/shm_rmid_forced")),
            ("net.ipv4.a b=1", None),
            ("net.ipv4.a\nb=1", None),
            ("netfilter.x=1", None),
            ("fs.file-max=1", None),
            ("vm.overcommit_memory=1", None),
            ("=1", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok().map(|sysctl| sysctl.path), want, "{text}");
        }
    }
}
