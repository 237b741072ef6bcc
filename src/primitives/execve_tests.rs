//! Tests of execve.rs.

use super::*;
use crate::sys::process::PATH_MAX;

#[test]
fn a_plain_name_is_looked_for_in_the_path_of_the_environment() {
    fn words(words: &[&'static str]) -> Vec<&'static OsStr> {
        words.iter().copied().map(OsStr::new).collect()
    }
    let program = Program::new(&words(&["ls", "-l"]), &words(&["A=1", "PATH=/a::/b"])).unwrap();
    assert_eq!(program.search.as_deref(), Some(&b"/a::/b"[..]));
    let program = Program::new(&words(&["./ls"]), &words(&["PATH=/a"])).unwrap();
    assert_eq!(program.search, None);
    let program = Program::new(&words(&["ls"]), &[]).unwrap();
    assert_eq!(program.search.as_deref(), DEFAULT_PATH.as_bytes().strip_prefix(b"PATH="));
}

#[test]
fn paths_are_put_together_where_they_fit() {
    let path = PathBuffer::new();
    for (folder, want) in [(Some(&b"/a"[..]), c"/a/ls"), (Some(b""), c"./ls"), (None, c"ls")] {
        assert!(write_path(&path, folder, b"ls"));
        path.read(|text| assert_eq!(text, want));
    }
    let long = [b'x'; PATH_MAX];
    assert!(!write_path(&path, Some(b"/a"), &long[..PATH_MAX - 3]), "no room for the NUL");
    assert!(write_path(&path, Some(b"/a"), &long[..PATH_MAX - 4]));
}

#[test]
fn sockets_are_handed_on_only_if_they_are_ours() {
    let own = Pid::from_raw(7);
    let listen = |env: &[&str]| {
        let env: Vec<_> = env.iter().map(OsStr::new).collect();
        let mut program = Program::new(&["ls".as_ref()], &env).unwrap();
        program.hand_on_sockets(own);
        (program.listen_pid.map(|index| program.envp[index].clone()), program.envp.len())
    };
    assert_eq!(listen(&["A=1", "LISTEN_PID=7", "LISTEN_FDS=1"]), (Some(c"LISTEN_PID=7".to_owned()), 3));
    assert_eq!(listen(&["LISTEN_PIDFDID=9", "A=1", "LISTEN_PID=7"]), (Some(c"LISTEN_PID=7".to_owned()), 2));
    assert_eq!(listen(&["LISTEN_PID=7", "LISTEN_PIDFDID=9"]), (Some(c"LISTEN_PID=7".to_owned()), 1));
    assert_eq!(listen(&["LISTEN_PID=70", "LISTEN_PIDFDID=9"]), (None, 2));
    assert_eq!(listen(&["LISTEN_PID=x"]), (None, 1));
}

#[test]
fn listen_pid_is_written_without_leading_zeros() {
    let place = [const { Cell::new(0) }; LISTEN_PID.len() + 11];
    write_listen_pid(&place);
    let bytes = place.each_ref().map(Cell::get);
    let text = CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap();
    assert_eq!(text, format!("LISTEN_PID={}", std::process::id()));
}

#[test]
fn a_program_without_a_name_is_not_found() {
    for args in [vec![], vec![OsStr::new("")]] {
        assert_eq!(Program::new(&args, &[]).unwrap_err().status, 127);
    }
}
