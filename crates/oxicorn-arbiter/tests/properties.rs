//! What holds in every story, also in those nobody would write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use oxicorn_arbiter::{Arbiter, BootFailure, Effect, Ending, Event, Order, Policy, Signal};
use proptest::prelude::*;

const WORKERS: usize = 3;

/// A world in which workers do as they please.
struct World {
    arbiter: Arbiter,
    now: Instant,
    /// Who lives, and whether a KILL is on its way.
    alive: BTreeMap<u32, bool>,
    ages: Vec<u64>,
    most: usize,
    stopped: Option<i32>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let policy = Policy { workers: WORKERS, ..Policy::default() };
        let mut world = Self {
            arbiter: Arbiter::new(policy, now),
            now,
            alive: BTreeMap::new(),
            ages: Vec::new(),
            most: 0,
            stopped: None,
        };
        world.happens(Event::Start);
        world
    }

    fn happens(&mut self, event: Event) {
        let mut waiting = self.arbiter.handle(event, self.now);
        while !waiting.is_empty() {
            let mut next = Vec::new();
            for effect in waiting {
                assert_eq!(self.stopped, None, "nothing follows the end: {effect:?}");
                match effect {
                    Effect::Spawn { age, .. } => {
                        assert!(!self.ages.contains(&age), "an age is given once");
                        self.ages.push(age);
                        let pid = 1000 + u32::try_from(age).expect("few workers");
                        self.alive.insert(pid, false);
                        self.most = self.most.max(self.alive.len());
                        next.extend(self.arbiter.handle(Event::Forked { age, pid }, self.now));
                    }
                    Effect::Send { pid, order } => {
                        let killed = self.alive.get_mut(&pid).expect("only the living are told");
                        *killed |= order == Order::Kill;
                    }
                    Effect::Reload => {
                        let policy = Policy { workers: WORKERS, ..Policy::default() };
                        next.extend(self.arbiter.handle(Event::Reloaded(policy), self.now));
                    }
                    Effect::Stop { code } => self.stopped = Some(code),
                    _ => {}
                }
            }
            waiting = next;
        }
    }

    fn pick(&self, choice: usize) -> Option<u32> {
        self.alive.keys().nth(choice % self.alive.len().max(1)).copied()
    }

    fn dies(&mut self, pid: u32, ending: Ending) {
        self.alive.remove(&pid);
        self.happens(Event::Exited { pid, ending });
    }
}

#[derive(Clone, Debug)]
enum Step {
    Signal(Signal),
    Ready(usize),
    BootFails(usize),
    Recycle(usize),
    Dies(usize),
    Crashes(usize),
    Beats(usize),
    Waits(u64),
}

fn steps(signals: Vec<Signal>, faults: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => proptest::sample::select(signals).prop_map(Step::Signal),
        6 => any::<usize>().prop_map(Step::Ready),
        faults => any::<usize>().prop_map(Step::BootFails),
        2 => any::<usize>().prop_map(Step::Recycle),
        3 * faults => any::<usize>().prop_map(Step::Dies),
        faults => any::<usize>().prop_map(Step::Crashes),
        4 => any::<usize>().prop_map(Step::Beats),
        4 => (0..20_000_u64).prop_map(Step::Waits),
    ];
    proptest::collection::vec(step, 0..80)
}

fn play(world: &mut World, steps: Vec<Step>) {
    for step in steps {
        if world.stopped.is_some() {
            return;
        }
        match step {
            Step::Signal(signal) => world.happens(Event::Signal(signal)),
            Step::Waits(millis) => {
                world.now += Duration::from_millis(millis);
                world.happens(Event::Tick);
            }
            Step::Ready(choice) => {
                if let Some(pid) = world.pick(choice) {
                    world.happens(Event::Ready { pid });
                }
            }
            Step::BootFails(choice) => {
                if let Some(pid) = world.pick(choice) {
                    world.happens(Event::BootFailed { pid, failure: BootFailure::App });
                }
            }
            Step::Recycle(choice) => {
                if let Some(pid) = world.pick(choice) {
                    world.happens(Event::Recycle { pid });
                    world.happens(Event::Stuck { pid });
                }
            }
            Step::Dies(choice) => {
                if let Some(pid) = world.pick(choice) {
                    world.dies(pid, Ending::Code(0));
                }
            }
            Step::Crashes(choice) => {
                if let Some(pid) = world.pick(choice) {
                    world.dies(pid, Ending::Signal("SIGSEGV"));
                }
            }
            Step::Beats(choice) => {
                if let Some(pid) = world.pick(choice) {
                    let at = world.now;
                    world.happens(Event::Heartbeat { pid, at });
                }
            }
        }
    }
}

const ALL: [Signal; 9] = [
    Signal::Hup,
    Signal::Int,
    Signal::Quit,
    Signal::Term,
    Signal::Ttin,
    Signal::Ttou,
    Signal::Usr1,
    Signal::Usr2,
    Signal::Winch,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_the_target_and_one_generation(
        steps in steps(vec![Signal::Hup, Signal::Usr1, Signal::Winch], 0)
    ) {
        let mut world = World::new();
        play(&mut world, steps);
        prop_assert!(world.most <= 2 * WORKERS, "{} workers", world.most);
    }

    #[test]
    fn deaths_and_failed_boots_add_one_set_at_most(steps in steps(vec![Signal::Hup], 1)) {
        let mut world = World::new();
        play(&mut world, steps);
        prop_assert!(world.most <= 3 * WORKERS, "{} workers", world.most);
    }

    #[test]
    fn every_path_from_term_ends_in_stopped(steps in steps(ALL.to_vec(), 1)) {
        let mut world = World::new();
        play(&mut world, steps);
        if world.stopped.is_none() {
            world.happens(Event::Signal(Signal::Term));
        }
        // From here on nobody does anything unless killed.
        for _ in 0..100 {
            if world.stopped.is_some() {
                break;
            }
            let killed: Vec<u32> =
                world.alive.iter().filter(|(_, killed)| **killed).map(|(pid, _)| *pid).collect();
            for pid in killed {
                world.dies(pid, Ending::Signal("SIGKILL"));
            }
            if world.stopped.is_none() {
                world.now = world.arbiter.poll_timeout(world.now).expect("never without a plan");
                world.happens(Event::Tick);
            }
        }
        prop_assert!(world.stopped.is_some());
        prop_assert!(world.arbiter.is_stopped());
    }

    #[test]
    fn a_server_left_alone_becomes_whole(steps in steps(vec![Signal::Hup, Signal::Usr1], 1)) {
        let mut world = World::new();
        for age in 1..=WORKERS {
            world.happens(Event::Ready { pid: 1000 + u32::try_from(age).expect("few workers") });
        }
        play(&mut world, steps);
        // Everybody who boots gets ready, everybody told to go goes after a while, nobody else does
        // anything: the full set and nobody else is what remains.
        for _ in 0..400 {
            let everybody: Vec<u32> = world.alive.keys().copied().collect();
            for pid in everybody {
                if world.alive[&pid] {
                    world.dies(pid, Ending::Signal("SIGKILL"));
                } else {
                    world.happens(Event::Ready { pid });
                    let at = world.now;
                    world.happens(Event::Heartbeat { pid, at });
                }
            }
            world.now += Duration::from_millis(500);
            world.happens(Event::Tick);
        }
        prop_assert_eq!(world.alive.len(), WORKERS);
    }
}
