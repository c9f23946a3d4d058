//! What the kernel knows of a connection beside its bytes.

use std::os::fd::AsFd;

use rustix::ioctl::{Getter, Opcode, ioctl};

use crate::KernelError;
use crate::error::Doing;

/// `SIOCOUTQ` of Linux, the same on all processors that we run on.
const UNTAKEN: Opcode = 0x5411;

/// How much was sent on a connection and is still under way; 0 once the other end has all of it: has read it on a unix
/// socket, has acknowledged it over TCP. On a unix socket the kernel's own overhead is counted in.
pub fn untaken(socket: impl AsFd) -> Result<u64, KernelError> {
    #[expect(unsafe_code, reason = "rustix cannot know what a number means to the kernel")]
    // SAFETY: the kernel writes one C int for this number, and does nothing else.
    let count = unsafe { ioctl(socket, Getter::<UNTAKEN, i32>::new()) };
    Ok(u64::try_from(count.doing(|| "ask for what a socket has under way")?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_sent_is_untaken_until_it_is_read() {
        let (mut one, mut other) = UnixStream::pair().unwrap();

        let at_first = untaken(&one).unwrap();
        one.write_all(b"words").unwrap();
        let sent = untaken(&one).unwrap();
        other.read_exact(&mut [0; 5]).unwrap();
        let read = untaken(&one).unwrap();

        assert_eq!((at_first, sent > 0, read), (0, true, 0));
    }
}
