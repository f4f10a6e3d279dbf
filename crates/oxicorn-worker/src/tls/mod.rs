//! TLS: certificates, keys and tickets, and the state of each connection that speaks it.
//!
//! [`Credentials`] read files and publish what they hold to the workers of a master, or to the one
//! worker there is; a worker's [`Terminator`] makes rustls' configuration of it, anew when there is
//! something new; each connection has a session. Protocol and cryptography are rustls'.

mod advice;
mod bundle;
mod certificates;
mod ciphers;
mod credentials;
mod facts;
mod identity;
mod session;
mod socket;
mod terminator;
mod tickets;

pub use credentials::{Clients, Credentials, Sources};
pub use facts::Facts;
pub use terminator::Terminator;

pub(crate) use session::{Greeting, Session};
