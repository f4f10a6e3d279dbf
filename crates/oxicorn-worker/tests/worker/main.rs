//! A worker over real sockets, with a fake application in Python's place.

mod deadlines;
mod driver;
mod foreign;
mod handoff;
mod held;
mod hostile;
mod queue;
mod stress;
mod support;
mod websocket;
