//! Listening sockets: bound once by the master, shared by all workers.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, chownat, fcntl_getfl, fcntl_setfl};
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, bind,
    connect, getsockname, listen, socket_with, sockopt,
};
use rustix::process::{Gid, Uid, umask};

use crate::stream::send_at_once;
use crate::{OsError, inherit};

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or address, and a port; port 0 lets the kernel choose.
    Inet(String, u16),
    /// A path in the file system.
    Unix(PathBuf),
    /// A name in Linux's abstract name space, without the leading zero byte.
    Abstract(Vec<u8>),
    /// A descriptor that is open already.
    Fd(RawFd),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Inet(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{}", String::from_utf8_lossy(name)),
            Self::Fd(number) => write!(f, "fd://{number}"),
        }
    }
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Whether several sockets may share the port, and the kernel divides what comes.
    pub reuse_port: bool,
    /// Whether a socket for all IPv6 addresses leaves the IPv4 ones alone.
    pub v6_only: bool,
    /// Permission bits that a unix socket's path is made *without*.
    pub umask: u32,
    /// Who gets a unix socket's path.
    pub owner: Option<(u32, u32)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 2048, reuse_port: false, v6_only: false, umask: 0, owner: None }
    }
}

/// What a listener is called, for logs and for the application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerInfo {
    /// As operators read it: `http://127.0.0.1:8000` or `unix:/run/app.sock`.
    pub text: String,
    /// The bound address without port, or the path of a unix socket (`@name` if abstract).
    pub name: String,
    /// The bound port; `None` for a unix socket.
    pub port: Option<u16>,
}

impl ListenerInfo {
    /// Reads what a listening socket is called from the socket itself.
    ///
    /// # Errors
    ///
    /// When the descriptor is not a socket, or of a family that is not served.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let name = getsockname(socket)?;
        if let Ok(address) = SocketAddr::try_from(name.clone()) {
            return Ok(Self {
                text: format!("http://{address}"),
                name: address.ip().to_string(),
                port: Some(address.port()),
            });
        }
        let unix = SocketAddrUnix::try_from(name)?;
        let name = match (unix.path_bytes(), unix.abstract_name()) {
            (Some(path), _) => String::from_utf8_lossy(path).into_owned(),
            (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
            (None, None) => String::new(),
        };
        Ok(Self { text: format!("unix:{name}"), name, port: None })
    }

    /// Whether it is a unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        self.port.is_none()
    }
}

/// A listening socket: non-blocking, closed on exec.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    info: ListenerInfo,
    file: Option<SocketFile>,
}

/// The path of a unix socket that we made, and what makes it ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Listener {
    /// Binds `address` and listens.
    ///
    /// A unix socket that nobody listens on any more is replaced; any other file is not.
    ///
    /// # Errors
    ///
    /// What the kernel refuses; the text names the address.
    pub fn open(address: &Address, options: &Options) -> Result<Self, OsError> {
        let failed = |source| OsError::new("listen on", address.to_string(), source);
        let (socket, file) = match address {
            Address::Inet(host, port) => (inet(host, *port, options).map_err(failed)?, None),
            Address::Unix(path) => {
                let (socket, file) = unix(path, options).map_err(failed)?;
                (socket, Some(file))
            }
            Address::Abstract(name) => (abstract_unix(name, options).map_err(failed)?, None),
            Address::Fd(number) => (adopted(*number).map_err(failed)?, None),
        };
        let info = ListenerInfo::of(socket.as_fd()).map_err(failed)?;
        Ok(Self { socket, info, file })
    }

    /// What it is called.
    #[must_use]
    pub fn info(&self) -> &ListenerInfo {
        &self.info
    }

    /// Makes the path of a socket that another process bound ours to remove.
    ///
    /// Only when that process is gone, and with it everybody else who may serve there.
    pub fn own_path(&mut self) {
        if self.file.is_some() || !self.info.is_unix() || self.info.name.starts_with('@') {
            return;
        }
        let path = PathBuf::from(&self.info.name);
        if let Ok(found) = std::fs::symlink_metadata(&path)
            && found.file_type().is_socket()
        {
            self.file = Some(SocketFile { path, device: found.dev(), inode: found.ino() });
        }
    }

    /// Removes the path of a unix socket if it is still the file that we made.
    ///
    /// For the last owner only: others may still be reached through the path.
    pub fn unlink(&mut self) {
        if let Some(file) = self.file.take()
            && let Ok(found) = std::fs::symlink_metadata(&file.path)
            && (found.dev(), found.ino()) == (file.device, file.inode)
        {
            // It may be gone by now; there is nothing else to do about it.
            let _ = std::fs::remove_file(&file.path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Accepts one connection: non-blocking, closed on exec, with the client's address unless unix.
///
/// # Errors
///
/// `WouldBlock` when nobody waits; what the kernel reports of the connection otherwise.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (socket, peer) = acceptfrom_with(listener, FLAGS)?;
    Ok((socket, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
}

fn inet(host: &str, port: u16, options: &Options) -> io::Result<OwnedFd> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    // A name with both kinds of address means the IPv4 one, as it always has for WSGI servers.
    let address = found
        .iter()
        .find(|address| address.is_ipv4())
        .or(found.first())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.reuse_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, options.v6_only)?;
    }
    bind(&socket, address)?;
    // A client may connect before a worker is there to do it.
    send_at_once(socket.as_fd());
    listen(&socket, options.backlog)?;
    Ok(socket)
}

fn unix(path: &Path, options: &Options) -> io::Result<(OwnedFd, SocketFile)> {
    remove_stale(path)?;
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    // Right from the first moment: a mode changed afterwards leaves a gap for others to connect.
    let before = umask(Mode::from_raw_mode(options.umask));
    let bound = bind(&socket, &address);
    umask(before);
    bound?;
    let found = std::fs::symlink_metadata(path)?;
    if let Some((uid, gid)) = options.owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    listen(&socket, options.backlog)?;
    Ok((socket, SocketFile { path: path.into(), device: found.dev(), inode: found.ino() }))
}

fn abstract_unix(name: &[u8], options: &Options) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    bind(&socket, &address)?;
    listen(&socket, options.backlog)?;
    Ok(socket)
}

/// Makes room for a unix socket: only a socket that refuses connections is taken away.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name, and it is not a socket",
        ));
    }
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(rustix::io::Errno::CONNREFUSED) => std::fs::remove_file(path),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ACCESS) => Err(rustix::io::Errno::ACCESS.into()),
        // It answers, or its queue is full: somebody listens.
        _ => Err(rustix::io::Errno::ADDRINUSE.into()),
    }
}

fn adopted(number: RawFd) -> io::Result<OwnedFd> {
    let socket = inherit::adopt(number)?;
    if !sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
    }
    let flags = fcntl_getfl(&socket)?;
    fcntl_setfl(&socket, flags | OFlags::NONBLOCK)?;
    Ok(socket)
}

/// The address of the other end, for sockets that came without one.
///
/// # Errors
///
/// When the socket is not connected.
pub fn peer(socket: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
    let name: Option<SocketAddrAny> = rustix::net::getpeername(socket)?;
    Ok(name.and_then(|name| SocketAddr::try_from(name).ok()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn loopback(options: &Options) -> Listener {
        Listener::open(&Address::Inet("127.0.0.1".into(), 0), options).expect("a free port")
    }

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("oxicorn-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a scratch directory");
        directory
    }

    fn wait_readable(fd: BorrowedFd<'_>) {
        let mut polled = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut polled, None).expect("poll");
    }

    #[test]
    fn tcp_is_named_and_accepts() {
        let listener = loopback(&Options::default());
        let port = listener.info().port.expect("a port");
        assert_eq!(listener.info().text, format!("http://127.0.0.1:{port}"));
        let would_block = accept(listener.as_fd()).expect_err("nobody is there");
        assert_eq!(would_block.kind(), io::ErrorKind::WouldBlock);
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        wait_readable(listener.as_fd());
        let (_socket, peer) = accept(listener.as_fd()).expect("a connection");
        assert_eq!(peer, client.local_addr().ok());
    }

    #[test]
    fn a_busy_port_says_so() {
        let first = loopback(&Options::default());
        let address = Address::Inet("127.0.0.1".into(), first.info().port.expect("a port"));
        let error = Listener::open(&address, &Options::default()).expect_err("busy");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot listen on `{address}`: ")));
    }

    #[test]
    fn reuse_port_shares() {
        let options = Options { reuse_port: true, ..Options::default() };
        let first = loopback(&options);
        let address = Address::Inet("127.0.0.1".into(), first.info().port.expect("a port"));
        assert!(Listener::open(&address, &options).is_ok());
    }

    #[test]
    fn unix_has_its_mode_and_goes_away_with_its_owner() {
        let path = scratch("mode").join("a.sock");
        let options = Options { umask: 0o117, ..Options::default() };
        let mut listener = Listener::open(&Address::Unix(path.clone()), &options).expect("bind");
        let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert_eq!(listener.info().text, format!("unix:{}", path.display()));
        let mut client = UnixStream::connect(&path).expect("connect");
        wait_readable(listener.as_fd());
        let (socket, peer) = accept(listener.as_fd()).expect("a connection");
        assert_eq!(peer, None);
        rustix::io::write(&socket, b"x").expect("write");
        client.read_exact(&mut [0]).expect("the byte");
        client.write_all(b"y").expect("write");
        listener.unlink();
        assert!(!path.exists());
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let directory = scratch("stale");
        let path = directory.join("b.sock");
        let address = Address::Unix(path.clone());
        let first = Listener::open(&address, &Options::default()).expect("bind");
        let error = Listener::open(&address, &Options::default()).expect_err("alive");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let mut second = Listener::open(&address, &Options::default()).expect("replaces");
        // Another server took the path: it is not ours to remove.
        std::fs::remove_file(&path).expect("remove");
        let third = Listener::open(&address, &Options::default()).expect("bind");
        second.unlink();
        assert!(path.exists());
        drop(third);
        let file = directory.join("plain");
        std::fs::write(&file, "keep me").expect("write");
        assert!(Listener::open(&Address::Unix(file.clone()), &Options::default()).is_err());
        assert!(file.exists());
    }

    #[test]
    fn abstract_names_work() {
        let name = format!("oxicorn-test-{}", std::process::id()).into_bytes();
        let listener = Listener::open(&Address::Abstract(name), &Options::default()).expect("bind");
        assert!(listener.info().is_unix());
        assert!(listener.info().text.starts_with("unix:@oxicorn-test-"));
    }

    #[test]
    fn a_descriptor_must_listen() {
        let listener = loopback(&Options::default());
        let again = Address::Fd(listener.as_fd().as_raw_fd());
        let adopted = Listener::open(&again, &Options::default()).expect("listens");
        assert_eq!(adopted.info(), listener.info());
        let file = std::fs::File::open("/dev/null").expect("open");
        assert!(Listener::open(&Address::Fd(file.as_raw_fd()), &Options::default()).is_err());
    }
}
