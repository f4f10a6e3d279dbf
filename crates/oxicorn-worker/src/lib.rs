//! The drivers: from a readable socket to the application and back.
//!
//! The life of a request: a [`Worker`] polls and accepts; a `Channel` reads into the polling thread's
//! scratch buffer and offers the bytes to `oxicorn_http::Connection`; a whole request becomes an
//! [`Exchange`] and is handed to the [`Application`]; its response goes out through the exchange;
//! what the socket does not take is flushed by whoever polls; the access log gets its line.
//!
//! No Python here: the application is a trait that the Python crate fills and tests fake.
#![forbid(unsafe_code)]

pub mod access_log;
mod answer;
mod application;
mod body;
mod channel;
mod clock;
mod config;
mod deadline;
pub mod error_log;
mod escape;
mod exchange;
mod flusher;
mod foreign;
pub mod forward;
mod handoff;
mod handshake;
mod health;
mod held;
mod http2;
mod json;
mod local_time;
mod monitor;
mod outbox;
mod poller;
mod queue;
mod reactor;
mod relay;
mod request_id;
mod serve;
mod stuck;
mod timers;
pub mod tls;
mod token;
#[cfg(test)]
mod token_model;
mod tunnel;
mod turn;
mod upgrade;
mod wire;
mod worker;

pub use application::{Application, Body, Link, Request};
pub use config::Config;
pub use deadline::{Deadline, Step};
pub use escape::Escaped;
pub use exchange::{BodyError, Exchange, Gone, Sent};
pub use foreign::{ForeignWorker, Park, Ready};
pub use request_id::{About, RequestIds};
pub use stuck::Stuck;
pub use worker::{Control, Signal, Worker};
