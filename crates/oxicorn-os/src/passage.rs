//! A pair of sockets on which processes pass connections to each other.
//!
//! A message is some bytes and one descriptor, and arrives whole or not at all. Everybody holds both
//! ends: whoever reads first has it. What nobody reads is closed by the kernel when the last holder
//! of the pair is gone.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use crate::epoll::{Interest, wait_one};

/// What an attempt to receive came to.
#[derive(Debug)]
pub enum Received {
    /// This many bytes, and the descriptor.
    Message(usize, OwnedFd),
    /// Nothing is waiting (or another process took it).
    Nothing,
    /// Something that no [`Passage::send`] sends; it is gone.
    Broken,
}

/// Both ends of the pair; never blocks.
#[derive(Debug)]
pub struct Passage {
    entrance: OwnedFd,
    exit: OwnedFd,
}

impl Passage {
    /// Makes a pair.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (entrance, exit) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok(Self { entrance, exit })
    }

    /// The same pair under descriptors of its own.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { entrance: self.entrance.try_clone()?, exit: self.exit.try_clone()? })
    }

    /// Puts a message in; `false` when there is no room, or no message can be sent at all.
    ///
    /// The descriptor stays open here, too.
    #[must_use]
    pub fn send(&self, bytes: &[u8], descriptor: BorrowedFd<'_>) -> bool {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors))
            && sendmsg(&self.entrance, &[IoSlice::new(bytes)], &mut ancillary, flags).is_ok()
    }

    /// Takes one message out.
    pub fn receive(&self, buffer: &mut [u8]) -> Received {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let parts = &mut [IoSliceMut::new(buffer)];
        let Ok(message) = recvmsg(&self.exit, parts, &mut ancillary, flags) else {
            return Received::Nothing;
        };
        let mut descriptor = None;
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                descriptor = descriptors.last();
            }
        }
        match descriptor {
            Some(descriptor) if !message.flags.contains(ReturnFlags::TRUNC) => {
                Received::Message(message.bytes, descriptor)
            }
            _ => Received::Broken,
        }
    }

    /// Whether a message is waiting.
    #[must_use]
    pub fn has_message(&self) -> bool {
        wait_one(self.exit(), Interest::Read, std::time::Duration::ZERO)
    }

    /// What can be read when a message is waiting.
    #[must_use]
    pub fn exit(&self) -> BorrowedFd<'_> {
        self.exit.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_descriptor_comes_out_with_its_bytes() -> io::Result<()> {
        let passage = Passage::new()?;
        let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
        assert!(!passage.has_message());
        assert!(passage.send(b"first", there.as_fd()));
        assert!(passage.send(b"", there.as_fd()));
        drop(there);
        let other = passage.try_clone()?;
        assert!(other.has_message());
        let mut buffer = [0; 100];
        let Received::Message(5, descriptor) = other.receive(&mut buffer) else {
            panic!("no message");
        };
        assert_eq!(&buffer[..5], b"first");
        here.write_all(b"still open")?;
        let count = std::os::unix::net::UnixStream::from(descriptor).read(&mut buffer)?;
        assert_eq!(&buffer[..count], b"still open");
        assert!(matches!(passage.receive(&mut buffer), Received::Message(0, _)));
        assert!(matches!(passage.receive(&mut buffer), Received::Nothing));
        assert_eq!(here.read(&mut buffer)?, 0, "a descriptor leaked");
        Ok(())
    }

    #[test]
    fn what_nobody_takes_is_closed_with_the_pair() -> io::Result<()> {
        let passage = Passage::new()?;
        let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
        assert!(passage.send(b"bytes", there.as_fd()));
        drop((there, passage));
        assert_eq!(here.read(&mut [0; 10])?, 0);
        Ok(())
    }

    #[test]
    fn a_full_pair_and_a_small_buffer_lose_nothing_silently() -> io::Result<()> {
        let passage = Passage::new()?;
        let (_here, there) = std::os::unix::net::UnixStream::pair()?;
        let bytes = vec![b'x'; 60_000];
        let sent = (0..1000).take_while(|_| passage.send(&bytes, there.as_fd())).count();
        assert!(sent > 0 && sent < 1000, "{sent}");
        assert!(matches!(passage.receive(&mut [0; 10]), Received::Broken));
        assert!(passage.send(&bytes, there.as_fd()));
        Ok(())
    }
}
