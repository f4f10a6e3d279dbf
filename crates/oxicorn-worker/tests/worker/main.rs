//! A worker over real sockets, with a fake application in Python's place.

mod driver;
mod foreign;
mod hostile;
mod stress;
mod support;
