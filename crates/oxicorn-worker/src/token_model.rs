//! Every interleaving of threads and monitor over the [`Token`], walked through exhaustively.
//!
//! Each step is what one thread does under the mutex; between steps anything may happen. Calls of
//! the application may last for ever, so nothing may depend on one coming back.

use std::collections::{HashMap, VecDeque};

use crate::token::{Holder, Next, Token};

/// What a thread is doing between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    /// About to ask what to do.
    Free,
    Polling,
    /// In the application, with a request that it read itself.
    Inline,
    /// In the application, with a request from the queue.
    Queued,
    /// Waiting for a permit.
    Following,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    token: Token,
    threads: Vec<Doing>,
    queued: usize,
    monitor_polls: bool,
}

/// Most requests in the queue; more would add states, not behaviour.
const QUEUE: usize = 2;

impl World {
    fn new(threads: usize) -> Self {
        let threads = vec![Doing::Free; threads];
        Self { token: Token::default(), threads, queued: 0, monitor_polls: false }
    }

    /// Whether somebody looks for events, or is about to.
    fn is_attended(&self) -> bool {
        self.monitor_polls || self.threads.contains(&Doing::Polling)
    }

    /// Every world that one step leads to; `returns` says whether calls of the application end.
    fn steps(&self, returns: bool) -> Vec<Self> {
        let mut next = Vec::new();
        for index in 0..self.threads.len() {
            self.thread_steps(index, returns, &mut next);
        }
        self.monitor_steps(&mut next);
        next
    }

    fn thread_steps(&self, index: usize, returns: bool, next: &mut Vec<Self>) {
        let mut world = self.clone();
        match self.threads[index] {
            Doing::Free => {
                match world.token.next(index, world.queued) {
                    Next::Run { .. } => {
                        world.queued -= 1;
                        world.threads[index] = Doing::Queued;
                    }
                    Next::Poll { .. } => world.threads[index] = Doing::Polling,
                    Next::Follow => world.threads[index] = Doing::Following,
                }
                next.push(world);
            }
            Doing::Polling => {
                // A round that brought nothing, or one whose token was taken away.
                world.threads[index] = Doing::Free;
                next.push(world);
                let mut world = self.clone();
                if !world.token.is_eager() {
                    world.threads[index] = Doing::Inline;
                    next.push(world);
                } else if world.queued < QUEUE {
                    world.queued += 1;
                    world.token.wake_one();
                    next.push(world);
                }
            }
            Doing::Inline | Doing::Queued if returns => {
                for slow in [false, true] {
                    let mut world = self.clone();
                    world.token.call_done(slow);
                    world.threads[index] = Doing::Free;
                    next.push(world);
                }
            }
            Doing::Following => {
                if world.token.woken() {
                    world.threads[index] = Doing::Free;
                    next.push(world);
                }
            }
            Doing::Inline | Doing::Queued => {}
        }
    }

    fn monitor_steps(&self, next: &mut Vec<Self>) {
        let mut world = self.clone();
        if self.monitor_polls {
            if world.token.holder() == Holder::Monitor {
                if world.queued < QUEUE {
                    world.queued += 1;
                    world.token.wake_one();
                    next.push(world);
                }
            } else {
                world.monitor_polls = false;
                next.push(world);
            }
            return;
        }
        world.monitor_polls = match world.token.holder() {
            Holder::Thread(index) if self.threads[index] == Doing::Inline => {
                world.token.holder_is_stuck(self.threads.len())
            }
            Holder::Thread(_) => return,
            Holder::Nobody => world.token.nobody_polls(),
            Holder::Monitor => true,
        };
        next.push(world);
    }
}

/// All worlds that can be reached from the first one.
fn reachable(first: World, returns: bool) -> HashMap<World, ()> {
    let mut seen = HashMap::new();
    let mut open = VecDeque::from([first.clone()]);
    seen.insert(first, ());
    while let Some(world) = open.pop_front() {
        for next in world.steps(returns) {
            if seen.insert(next.clone(), ()).is_none() {
                open.push_back(next);
            }
        }
    }
    seen
}

/// Whether every run from here, with stuck calls staying stuck, can come to somebody polling.
fn gets_attended(world: &World) -> bool {
    reachable(world.clone(), false).keys().any(World::is_attended)
}

#[test]
fn somebody_always_comes_to_poll_even_when_no_call_returns() {
    for threads in 1..=2 {
        for world in reachable(World::new(threads), true).keys() {
            assert!(gets_attended(world), "nobody will ever poll: {world:?}");
        }
    }
}

#[test]
fn a_queued_request_is_never_left_while_a_follower_sleeps_for_good() {
    for threads in 1..=3 {
        for world in reachable(World::new(threads), true).keys() {
            let free = |doing: &Doing| matches!(doing, Doing::Free | Doing::Polling);
            let permits = world.token.has_permits();
            let helped = world.threads.iter().any(free) || permits || world.monitor_polls;
            let sleeping = world.threads.contains(&Doing::Following);
            let calls_for_help = world.token.holder() == Holder::Nobody
                || matches!(world.token.holder(), Holder::Thread(i) if world.threads[i] == Doing::Inline);
            assert!(
                world.queued == 0 || !sleeping || helped || calls_for_help,
                "a request waits although a thread is idle: {world:?}"
            );
        }
    }
}

#[test]
fn idle_followers_are_counted_right() {
    for world in reachable(World::new(3), true).keys() {
        let following = world.threads.iter().filter(|doing| **doing == Doing::Following).count();
        assert_eq!(world.token.waiting(), following, "{world:?}");
    }
}
