//! Time limits of single requests: who is over them, and what comes of it.
//!
//! ```text
//!   running ──request_timeout_log───► its stack is shown
//!           ──request_timeout───────► it is interrupted
//!           ──request_timeout_grace─► it is given up: its client is answered, its worker replaced
//! ```
//!
//! The monitor, or each turn of a hub of greenlets, finds what is due by the clock alone. What takes
//! the interpreter (a stack, an exception) is queued for whoever may wait for that: a thread of its
//! own, or the hub. Giving up takes none, so a call that keeps the interpreter for ever is
//! given up in time. A request leaves the list, under its lock, before its connection goes on: what
//! is done to one that is listed can never hit the next one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxicorn_http::Head;
use slotmap::DefaultKey as Key;

use crate::channel::{NEVER, millis};
use crate::error_log::{self, Level};
use crate::http2::Tie;
use crate::queue::limit;
use crate::{About, Config, Escaped};

/// Instead of a time: it was reached.
const PAST: u64 = 0;

/// Nobody has begun to answer yet.
const OPEN: u8 = 0;
/// The application has.
const BY_APPLICATION: u8 = 1;
/// We have, as it does not end.
const BY_US: u8 = 2;

/// What is to be done about a request that takes long, and needs the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Show where it is.
    Show,
    /// Show where it is, and interrupt it.
    Interrupt,
}

/// One request that has time limits.
#[derive(Debug)]
pub struct Deadline {
    id: u64,
    pub(crate) key: Key,
    /// Where the answer goes if it came by HTTP/2.
    pub(crate) tie: Option<Arc<Tie>>,
    pub(crate) head: Head,
    pub(crate) bytes: Vec<u8>,
    pub(crate) client: Vec<u8>,
    pub(crate) about: Option<About>,
    /// The zero of the times below, which are in milliseconds.
    zero: Instant,
    began: u64,
    show_at: AtomicU64,
    end_at: AtomicU64,
    give_up_at: AtomicU64,
    is_interrupted: AtomicBool,
    answer: AtomicU8,
}

impl Deadline {
    /// A number that no other request of this worker has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What the logs call it, if requests have names.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// What is left until it is interrupted; `None` when it never is.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        match self.end_at.load(Ordering::Relaxed) {
            NEVER => None,
            at => Some(Duration::from_millis(at.saturating_sub(self.now()))),
        }
    }

    /// Gives it more time; too late when it was interrupted already.
    pub fn extend(&self, by: Duration) {
        // Fails for the two that are no times.
        let _ = self.end_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            (at != PAST && at != NEVER).then(|| at.saturating_add(millis(by)).min(NEVER - 1))
        });
    }

    /// Notes that it was interrupted: waits for its client end.
    pub fn interrupted(&self) {
        self.is_interrupted.store(true, Ordering::Release);
    }

    /// Whether it was interrupted.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Acquire)
    }

    /// For the application: whether it may begin to answer, or go on.
    pub(crate) fn may_answer(&self) -> bool {
        self.take_answer(BY_APPLICATION) != BY_US
    }

    /// For us: whether nobody has begun to answer, and nobody else will.
    pub(crate) fn answer_for_it(&self) -> bool {
        self.take_answer(BY_US) == OPEN
    }

    /// Whether we have answered, or will.
    pub(crate) fn is_answered_for(&self) -> bool {
        self.answer.load(Ordering::Acquire) == BY_US
    }

    /// Claims the answer; says whose it was.
    fn take_answer(&self, by: u8) -> u8 {
        let claimed = self.answer.compare_exchange(OPEN, by, Ordering::AcqRel, Ordering::Acquire);
        claimed.unwrap_or_else(|whose| whose)
    }

    /// Whether it was given up. Cannot change any more once it is off the list.
    pub(crate) fn is_given_up(&self) -> bool {
        self.give_up_at.load(Ordering::Acquire) == PAST
    }

    fn now(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_millis()).unwrap_or(NEVER)
    }

    /// The next time that something is to be done about it.
    fn next(&self) -> u64 {
        let times = [&self.show_at, &self.end_at, &self.give_up_at];
        let times = times.map(|at| at.load(Ordering::Relaxed));
        times.into_iter().filter(|at| *at != PAST).min().unwrap_or(NEVER)
    }
}

/// As log lines name it: method, target, client and, in text logs, its id.
impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = Escaped(self.head.method.of(&self.bytes));
        let target = Escaped(self.head.target.of(&self.bytes));
        let client: &[u8] = if self.client.is_empty() { b"-" } else { &self.client };
        let id = error_log::id(self.about.as_ref());
        write!(f, "{method} {target} client={}{id}", Escaped(client))
    }
}

/// All requests of a worker that have time limits.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Milliseconds, or [`NEVER`].
    show: u64,
    end: u64,
    grace: u64,
    running: Mutex<Running>,
    /// Nothing is due before this.
    next: AtomicU64,
    due: Mutex<Due>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    requests: HashMap<u64, Arc<Deadline>>,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Due {
    queue: VecDeque<(Arc<Deadline>, Step)>,
    closed: bool,
}

/// What is known of a request when it begins.
pub(crate) struct Begun<'a> {
    pub(crate) key: Key,
    pub(crate) tie: Option<&'a Arc<Tie>>,
    pub(crate) head: &'a Head,
    pub(crate) bytes: &'a [u8],
    pub(crate) client: &'a [u8],
    pub(crate) about: Option<&'a About>,
    /// The zero of the worker's clock, and its reading.
    pub(crate) zero: Instant,
    pub(crate) now: u64,
}

impl Watch {
    /// A list for the limits that are set; `None` without any.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let [show, end] = [config.request_timeout_log, config.request_timeout].map(limit);
        config.limits_requests().then(|| Self {
            show,
            end,
            grace: millis(config.request_timeout_grace),
            running: Mutex::default(),
            next: AtomicU64::new(NEVER),
            due: Mutex::default(),
            bell: Condvar::new(),
        })
    }

    /// Lists a request; also says whether something is due for it before anything else, so that
    /// whoever looks has to know of it.
    pub(crate) fn begin(&self, begun: &Begun<'_>) -> (Arc<Deadline>, bool) {
        let mut running = lock(&self.running);
        running.last_id += 1;
        let after = |limit: u64| begun.now.saturating_add(limit).max(1);
        let deadline = Arc::new(Deadline {
            id: running.last_id,
            key: begun.key,
            tie: begun.tie.map(Arc::clone),
            head: begun.head.clone(),
            bytes: begun.bytes.get(..begun.head.len).unwrap_or(begun.bytes).to_vec(),
            client: begun.client.to_vec(),
            about: begun.about.cloned(),
            zero: begun.zero,
            began: begun.now,
            show_at: AtomicU64::new(after(self.show)),
            end_at: AtomicU64::new(after(self.end)),
            give_up_at: AtomicU64::new(NEVER),
            is_interrupted: AtomicBool::new(false),
            answer: AtomicU8::new(OPEN),
        });
        let next = deadline.next();
        let is_first = next < self.next.fetch_min(next, Ordering::Relaxed);
        running.requests.insert(deadline.id, Arc::clone(&deadline));
        (deadline, is_first)
    }

    /// Takes a request off the list: it has ended.
    pub(crate) fn end(&self, deadline: &Deadline) {
        lock(&self.running).requests.remove(&deadline.id);
    }

    /// Milliseconds until something may be due.
    pub(crate) fn patience(&self, now: u64) -> u64 {
        self.next.load(Ordering::Relaxed).saturating_sub(now)
    }

    /// How many requests were given up and have not ended.
    pub(crate) fn given_up(&self) -> usize {
        lock(&self.running).requests.values().filter(|request| request.is_given_up()).count()
    }

    /// Logs and queues what is due now; gives those that are given up.
    pub(crate) fn look(&self, now: u64) -> Vec<Arc<Deadline>> {
        let mut given_up = Vec::new();
        if self.patience(now) > 0 {
            return given_up;
        }
        let mut due = Vec::new();
        let running = lock(&self.running);
        for deadline in running.requests.values() {
            if reach(&deadline.show_at, now) && deadline.end_at.load(Ordering::Relaxed) > now {
                due.push((Arc::clone(deadline), Step::Show));
            }
            if reach(&deadline.end_at, now) {
                let give_up_at = now.saturating_add(self.grace).max(1);
                deadline.give_up_at.store(give_up_at, Ordering::Relaxed);
                due.push((Arc::clone(deadline), Step::Interrupt));
            } else if reach(&deadline.give_up_at, now) {
                given_up.push(Arc::clone(deadline));
            }
        }
        let next = running.requests.values().map(|deadline| deadline.next()).min();
        self.next.store(next.unwrap_or(NEVER), Ordering::Relaxed);
        drop(running);
        due.into_iter().for_each(|(deadline, step)| self.tell(deadline, step, now));
        given_up
    }

    /// Logs what a request is over, and queues what follows.
    fn tell(&self, deadline: Arc<Deadline>, step: Step, now: u64) {
        let (took, about) = (Took(&deadline, now), deadline.about.as_ref());
        match step {
            Step::Show => error_log::write_about(
                Level::Warning,
                format_args!("Request takes long: {took}, past `request_timeout_log`"),
                about,
            ),
            Step::Interrupt => error_log::write_about(
                Level::Error,
                format_args!("Request timed out: {took}, past `request_timeout`"),
                about,
            ),
        }
        lock(&self.due).queue.push_back((deadline, step));
        self.bell.notify_one();
    }

    /// The next thing to be done with the interpreter, if there is one.
    pub(crate) fn next_due(&self) -> Option<(Arc<Deadline>, Step)> {
        lock(&self.due).queue.pop_front()
    }

    /// The same, waiting for it; `None` after [`close`](Self::close).
    pub(crate) fn wait_for_due(&self) -> Option<(Arc<Deadline>, Step)> {
        let mut due = lock(&self.due);
        loop {
            if due.closed {
                return None;
            }
            if let Some(next) = due.queue.pop_front() {
                return Some(next);
            }
            due = self.bell.wait(due).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the waits.
    pub(crate) fn close(&self) {
        lock(&self.due).closed = true;
        self.bell.notify_all();
    }
}

/// Marks a time as reached, if it is; once.
fn reach(at: &AtomicU64, now: u64) -> bool {
    let reached = |time: u64| (time != PAST && time <= now).then_some(PAST);
    at.fetch_update(Ordering::AcqRel, Ordering::Relaxed, reached).is_ok()
}

/// A request, and the time from which to tell how long it took.
pub(crate) struct Took<'a>(pub(crate) &'a Deadline, pub(crate) u64);

impl fmt::Display for Took<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.1.saturating_sub(self.0.began);
        write!(f, "{} for {}.{:03} s", self.0, took / 1000, took % 1000)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(show: u64, end: u64) -> Watch {
        let config = Config {
            request_timeout_log: Duration::from_millis(show),
            request_timeout: Duration::from_millis(end),
            request_timeout_grace: Duration::from_millis(10),
            ..Config::default()
        };
        Watch::new(&config).expect("limits are set")
    }

    fn begin(watch: &Watch, now: u64) -> Arc<Deadline> {
        let (key, zero) = (Key::default(), Instant::now());
        let (head, bytes, client) = (&Head::default(), &b""[..], &b""[..]);
        watch.begin(&Begun { key, tie: None, head, bytes, client, about: None, zero, now }).0
    }

    fn due(watch: &Watch) -> Vec<(u64, Step)> {
        std::iter::from_fn(|| watch.next_due()).map(|(it, step)| (it.id(), step)).collect()
    }

    #[test]
    fn without_limits_nothing_is_watched() {
        assert!(Watch::new(&Config::default()).is_none());
    }

    #[test]
    fn each_limit_is_reached_once_and_in_order() {
        let watch = watch(100, 200);
        let request = begin(&watch, 1000);
        assert_eq!(watch.patience(1000), 100);
        assert!(watch.look(1099).is_empty() && due(&watch).is_empty());
        assert!(watch.look(1100).is_empty());
        assert!(watch.look(1150).is_empty());
        assert_eq!(due(&watch), [(1, Step::Show)]);
        assert!(watch.look(1200).is_empty());
        assert!(watch.look(1209).is_empty());
        assert_eq!(due(&watch), [(1, Step::Interrupt)]);
        assert!(!request.is_given_up());
        assert_eq!(watch.look(1210).len(), 1);
        assert!(watch.look(9999).is_empty() && due(&watch).is_empty());
        assert_eq!((request.is_given_up(), watch.given_up()), (true, 1));
        watch.end(&request);
        assert_eq!(watch.given_up(), 0);
    }

    #[test]
    fn what_has_ended_is_left_alone() {
        let watch = watch(0, 200);
        let request = begin(&watch, 0);
        watch.end(&request);
        assert!(watch.look(5000).is_empty() && due(&watch).is_empty());
        assert!(!request.is_given_up());
        assert_eq!(watch.patience(5000), NEVER - 5000);
    }

    #[test]
    fn a_late_look_goes_straight_to_the_end() {
        let watch = watch(100, 200);
        begin(&watch, 0);
        assert!(watch.look(5000).is_empty());
        assert_eq!(due(&watch), [(1, Step::Interrupt)]);
    }

    #[test]
    fn more_time_counts_until_it_is_over() {
        let watch = watch(0, 200);
        let request = begin(&watch, 0);
        request.extend(Duration::from_millis(300));
        assert!(watch.look(499).is_empty() && due(&watch).is_empty());
        assert!(watch.look(500).is_empty());
        assert_eq!(due(&watch), [(1, Step::Interrupt)]);
        request.extend(Duration::from_secs(1000));
        assert_eq!(request.remaining(), Some(Duration::ZERO));
        assert_eq!(watch.look(510).len(), 1);
    }

    #[test]
    fn without_an_end_there_is_nothing_to_extend() {
        let watch = watch(100, 0);
        let request = begin(&watch, 0);
        request.extend(Duration::from_secs(1));
        assert_eq!(request.remaining(), None);
        assert!(watch.look(1 << 40).is_empty());
        assert_eq!(due(&watch), [(1, Step::Show)]);
    }

    #[test]
    fn either_the_application_answers_or_we_do() {
        let watch = watch(0, 1);
        let first = begin(&watch, 0);
        assert!(first.may_answer() && first.may_answer());
        assert!(!first.answer_for_it() && !first.is_answered_for());
        let second = begin(&watch, 0);
        assert!(second.answer_for_it() && second.is_answered_for());
        assert!(!second.may_answer());
    }

    #[test]
    fn whoever_waits_for_work_is_sent_home_at_the_end() {
        let watch = watch(0, 1);
        begin(&watch, 0);
        watch.look(5);
        assert!(watch.wait_for_due().is_some());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| watch.wait_for_due().is_none());
            watch.close();
            assert!(waits.join().expect("no panic"));
        });
    }
}
