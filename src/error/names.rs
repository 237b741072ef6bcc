//! Error numbers in words. The size-tuned build prints nothing for `{:?}`, and a table of references costs four times
//! its text in relocations: hence one text, a line a number.

use nix::errno::Errno;

use crate::packed::{Packed, packed};

/// errno(3): line n is error n of the generic numbering, which every architecture we build for has.
const FIRST: Packed = packed!(
    "\
unknown\tunknown error
EPERM\tOperation not permitted
ENOENT\tNo such file or directory
ESRCH\tNo such process
EINTR\tInterrupted system call
EIO\tInput/output error
ENXIO\tNo such device or address
E2BIG\tArgument list too long
ENOEXEC\tExec format error
EBADF\tBad file descriptor
ECHILD\tNo child processes
EAGAIN\tResource temporarily unavailable
ENOMEM\tCannot allocate memory
EACCES\tPermission denied
EFAULT\tBad address
ENOTBLK\tBlock device required
EBUSY\tDevice or resource busy
EEXIST\tFile exists
EXDEV\tInvalid cross-device link
ENODEV\tNo such device
ENOTDIR\tNot a directory
EISDIR\tIs a directory
EINVAL\tInvalid argument
ENFILE\tToo many open files in system
EMFILE\tToo many open files
ENOTTY\tInappropriate ioctl for device
ETXTBSY\tText file busy
EFBIG\tFile too large
ENOSPC\tNo space left on device
ESPIPE\tIllegal seek
EROFS\tRead-only file system
EMLINK\tToo many links
EPIPE\tBroken pipe
EDOM\tNumerical argument out of domain
ERANGE\tNumerical result out of range
EDEADLK\tResource deadlock avoided
ENAMETOOLONG\tFile name too long
ENOLCK\tNo locks available
ENOSYS\tFunction not implemented
ENOTEMPTY\tDirectory not empty
ELOOP\tToo many levels of symbolic links"
);

/// The errors from 41 on, of which no call of init's tells: the smallest build has no words for them.
const REST: Packed = if cfg!(feature = "container") {
    packed!(
        "\
-\t-
ENOMSG\tNo message of desired type
EIDRM\tIdentifier removed
ECHRNG\tChannel number out of range
EL2NSYNC\tLevel 2 not synchronized
EL3HLT\tLevel 3 halted
EL3RST\tLevel 3 reset
ELNRNG\tLink number out of range
EUNATCH\tProtocol driver not attached
ENOCSI\tNo CSI structure available
EL2HLT\tLevel 2 halted
EBADE\tInvalid exchange
EBADR\tInvalid request descriptor
EXFULL\tExchange full
ENOANO\tNo anode
EBADRQC\tInvalid request code
EBADSLT\tInvalid slot
-\t-
EBFONT\tBad font file format
ENOSTR\tDevice not a stream
ENODATA\tNo data available
ETIME\tTimer expired
ENOSR\tOut of streams resources
ENONET\tMachine is not on the network
ENOPKG\tPackage not installed
EREMOTE\tObject is remote
ENOLINK\tLink has been severed
EADV\tAdvertise error
ESRMNT\tSrmount error
ECOMM\tCommunication error on send
EPROTO\tProtocol error
EMULTIHOP\tMultihop attempted
EDOTDOT\tRFS specific error
EBADMSG\tBad message
EOVERFLOW\tValue too large for defined data type
ENOTUNIQ\tName not unique on network
EBADFD\tFile descriptor in bad state
EREMCHG\tRemote address changed
ELIBACC\tCan not access a needed shared library
ELIBBAD\tAccessing a corrupted shared library
ELIBSCN\t.lib section in a.out corrupted
ELIBMAX\tAttempting to link in too many shared libraries
ELIBEXEC\tCannot exec a shared library directly
EILSEQ\tInvalid or incomplete multibyte or wide character
ERESTART\tInterrupted system call should be restarted
ESTRPIPE\tStreams pipe error
EUSERS\tToo many users
ENOTSOCK\tSocket operation on non-socket
EDESTADDRREQ\tDestination address required
EMSGSIZE\tMessage too long
EPROTOTYPE\tProtocol wrong type for socket
ENOPROTOOPT\tProtocol not available
EPROTONOSUPPORT\tProtocol not supported
ESOCKTNOSUPPORT\tSocket type not supported
EOPNOTSUPP\tOperation not supported
EPFNOSUPPORT\tProtocol family not supported
EAFNOSUPPORT\tAddress family not supported by protocol
EADDRINUSE\tAddress already in use
EADDRNOTAVAIL\tCannot assign requested address
ENETDOWN\tNetwork is down
ENETUNREACH\tNetwork is unreachable
ENETRESET\tNetwork dropped connection on reset
ECONNABORTED\tSoftware caused connection abort
ECONNRESET\tConnection reset by peer
ENOBUFS\tNo buffer space available
EISCONN\tTransport endpoint is already connected
ENOTCONN\tTransport endpoint is not connected
ESHUTDOWN\tCannot send after transport endpoint shutdown
ETOOMANYREFS\tToo many references: cannot splice
ETIMEDOUT\tConnection timed out
ECONNREFUSED\tConnection refused
EHOSTDOWN\tHost is down
EHOSTUNREACH\tNo route to host
EALREADY\tOperation already in progress
EINPROGRESS\tOperation now in progress
ESTALE\tStale file handle
EUCLEAN\tStructure needs cleaning
ENOTNAM\tNot a XENIX named type file
ENAVAIL\tNo XENIX semaphores available
EISNAM\tIs a named type file
EREMOTEIO\tRemote I/O error
EDQUOT\tDisk quota exceeded
ENOMEDIUM\tNo medium found
EMEDIUMTYPE\tWrong medium type
ECANCELED\tOperation canceled
ENOKEY\tRequired key not available
EKEYEXPIRED\tKey has expired
EKEYREVOKED\tKey has been revoked
EKEYREJECTED\tKey was rejected by service
EOWNERDEAD\tOwner died
ENOTRECOVERABLE\tState not recoverable
ERFKILL\tOperation not possible due to RF-kill
EHWPOISON\tMemory page has hardware error"
    )
} else {
    packed!("")
};

/// The symbolic name of an error number and what it means.
pub(super) fn describe(errno: Errno) -> (Packed, Packed) {
    let number = usize::try_from(errno as i32).unwrap_or(0);
    let lines = [FIRST.part(number, b'\n'), REST.part(number.wrapping_sub(41), b'\n')];
    let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or(FIRST.part(0, b'\n'));
    (line.part(0, b'\t'), line.part(1, b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_line() {
        for (errno, name, text) in [
            (Errno::EPERM, "EPERM", "Operation not permitted"),
            (Errno::ENOSYS, "ENOSYS", "Function not implemented"),
            (Errno::ELOOP, "ELOOP", "Too many levels of symbolic links"),
            #[cfg(feature = "container")]
            (Errno::EOPNOTSUPP, "EOPNOTSUPP", "Operation not supported"),
            #[cfg(feature = "container")]
            (Errno::EDQUOT, "EDQUOT", "Disk quota exceeded"),
            #[cfg(feature = "container")]
            (Errno::ERFKILL, "ERFKILL", "Operation not possible due to RF-kill"),
            (Errno::UnknownErrno, "unknown", "unknown error"),
        ] {
            let (found, meaning) = describe(errno);
            assert_eq!((found.to_string(), meaning.to_string()), (name.to_owned(), text.to_owned()));
        }
    }
}
