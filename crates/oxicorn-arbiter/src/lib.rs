//! What the master decides: events in, effects out.
//!
//! [`Arbiter::handle`] takes what happened (a signal, a worker that is ready, one that died) and the
//! time, and answers with what is to be done, in order. It makes no system call and reads no clock,
//! so every story a server can go through is a test that runs in no time.
//!
//! ```text
//!            full set ready            HUP, new settings
//!  Booting ────────────────▶ Serving ◀──────────────────▶ Reloading
//!     │ a worker cannot boot    │       new set ready,        │
//!     ▼                         ▼       or it cannot boot     │
//!  Draining ◀────────── TERM, INT, QUIT ◀─────────────────────┘
//!     │ nobody left
//!     ▼
//!  Stopped
//! ```
//!
//! ```
//! use std::time::{Duration, Instant};
//! use oxicorn_arbiter::{Arbiter, Effect, Event, Policy, Signal};
//!
//! let now = Instant::now();
//! let policy = Policy { workers: 1, ..Policy::default() };
//! let mut arbiter = Arbiter::new(policy, now);
//! assert!(matches!(arbiter.handle(Event::Start, now)[..], [Effect::Spawn { age: 1, .. }]));
//! arbiter.handle(Event::Forked { age: 1, pid: 4711 }, now);
//! arbiter.handle(Event::Ready { pid: 4711 }, now);
//! arbiter.handle(Event::Signal(Signal::Term), now);
//! let last = arbiter.handle(Event::Exited { pid: 4711, ending: oxicorn_arbiter::Ending::Code(0) }, now);
//! assert_eq!(last.last(), Some(&Effect::Stop { code: 0 }));
//! ```
#![forbid(unsafe_code)]

mod arbiter;
mod backoff;
mod effect;
mod event;
mod obituary;
mod policy;
mod roster;

pub use arbiter::Arbiter;
pub use effect::{Effect, Level, Order};
pub use event::{BootFailure, Ending, Event, Signal};
pub use policy::Policy;
