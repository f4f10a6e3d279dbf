use std::sync::atomic::AtomicBool;
use std::thread;

use super::in_flight::{SEQUENCE, WRITING};
use super::*;

fn slot() -> Slot {
    let slot = Scoreboard::create(2).expect("memory for a test").slot(1).expect("two slots");
    slot.claim(1, 7);
    slot
}

#[test]
fn slots_are_counted() {
    let board = Scoreboard::create(3).expect("memory for a test");
    assert_eq!(board.slots(), 3);
    assert!(board.slot(2).is_some());
    assert!(board.slot(3).is_none());
}

#[test]
fn a_request_is_listed_from_begin_to_end() {
    let slot = slot();
    let first = slot.begin(10, b"GET", b"/a?b=1", b"127.0.0.1", b"r-1");
    let second = slot.begin(20, b"POST", &[b'x'; 500], b"", &[b'i'; 500]);
    let seen = slot.in_flight();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].method, b"GET");
    assert_eq!(seen[0].path, b"/a?b=1");
    assert_eq!(seen[0].client, b"127.0.0.1");
    assert_eq!((&seen[0].id[..], &seen[1].id[..]), (&b"r-1"[..], &[b'i'; ID][..]));
    assert_eq!((seen[1].start_ms, seen[1].path.len()), (20, PATH));
    slot.end(first);
    assert_eq!(slot.in_flight().len(), 1);
    slot.end(second);
    assert!(slot.in_flight().is_empty());
    assert_eq!(slot.requests(), 2);
}

#[test]
fn more_requests_than_entries_are_counted_only() {
    let slot = slot();
    let tickets: Vec<_> =
        (0..ENTRIES as u64 + 5).map(|n| slot.begin(n, b"GET", b"/", b"", b"")).collect();
    assert_eq!(slot.in_flight().len(), ENTRIES);
    tickets.into_iter().for_each(|ticket| slot.end(ticket));
    assert!(slot.in_flight().is_empty());
    assert_eq!(slot.requests(), ENTRIES as u64 + 5);
}

#[test]
fn a_writer_that_died_in_the_middle_is_not_believed() {
    let slot = slot();
    let _ticket = slot.begin(1, b"GET", b"/", b"", b"");
    slot.entry(0)[SEQUENCE].store(WRITING, Ordering::Relaxed);
    assert!(slot.in_flight().is_empty());
    slot.claim(2, 9);
    let _ticket = slot.begin(1, b"GET", b"/next", b"", b"");
    assert_eq!(slot.in_flight()[0].path, b"/next");
    assert_eq!((slot.generation(), slot.last_heartbeat()), (2, 9));
}

#[test]
fn a_reader_never_sees_two_requests_mixed() {
    let slot = slot();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for letter in [b'a', b'b'] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let (start, client) = (u64::from(letter), &[letter; 20]);
                    let ticket =
                        slot.begin(start, &[letter; 9], &[letter; 99], client, &[letter; 40]);
                    slot.end(ticket);
                }
            });
        }
        for _ in 0..20_000 {
            for request in slot.in_flight() {
                let letter = request.method[0];
                assert_eq!(request.start_ms, u64::from(letter));
                assert!(request.path.iter().chain(&request.client).all(|byte| *byte == letter));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn idle_threads_are_those_that_take_and_run_nothing() {
    let slot = slot();
    slot.set_takes(2);
    assert_eq!(slot.idle_threads(), 0, "it does not serve yet");
    slot.set_state(State::Serving);
    assert_eq!(slot.idle_threads(), 2);
    let tickets: Vec<_> = (0..3).map(|_| slot.begin(1, b"GET", b"/", b"", b"")).collect();
    assert_eq!(slot.idle_threads(), 0);
    tickets.into_iter().for_each(|ticket| slot.end(ticket));
    slot.set_takes(0);
    assert_eq!(slot.idle_threads(), 0);
    slot.set_takes(ENTRIES + 9);
    assert_eq!(slot.idle_threads(), ENTRIES);
}

#[test]
fn siblings_have_the_same_settings_and_are_others() {
    let board = Scoreboard::create(6).expect("memory for a test");
    let slots: Vec<_> = (0..6).filter_map(|index| board.slot(index)).collect();
    for (slot, generation) in slots.iter().zip([1, 2, 1, 1]) {
        slot.claim(generation, 7);
        slot.set_pid(u32::try_from(generation).expect("small") * 10);
    }
    let pids: Vec<_> = slots[2].siblings().map(|slot| slot.pid()).collect();
    assert_eq!(pids, [10, 10]);
    assert_eq!(slots[1].siblings().count(), 0);
}

#[test]
fn states_survive_the_trip() {
    let slot = slot();
    for state in [State::Booting, State::Serving, State::Draining, State::Vacant] {
        slot.set_state(state);
        assert_eq!(slot.state(), state);
    }
    slot.set_pid(4711);
    slot.set_load(3, 2);
    slot.heartbeat(monotonic_ms());
    let seen = slot.snapshot();
    assert_eq!((seen.pid, seen.connections, seen.waiting), (4711, 3, 2));
}

#[test]
fn times_fall_into_buckets_and_short_ones_are_what_is_left() {
    let slot = slot();
    for _ in 0..10 {
        let ticket = slot.begin(1, b"GET", b"/", b"", b"");
        slot.end(ticket);
    }
    for ms in [0, 1, 3, 4, 1 << 40] {
        slot.spent(Phase::Application, ms);
    }
    slot.waited_for_interpreter(0);
    let figures = slot.snapshot().figures;
    let application = figures.phase(Phase::Application);
    assert_eq!(application.counts[..4], [6, 1, 1, 1]);
    assert_eq!(application.counts[BUCKETS - 1], 1);
    assert_eq!(application.total_ms, 8 + (1 << 40));
    assert_eq!(figures.phase(Phase::Queue).counts[0], 10);
    assert_eq!(figures.phase(Phase::Interpreter).counts[0], 1);
    assert_eq!(figures.count(Count::Requests), 10);
}

#[test]
fn what_a_worker_did_counts_after_its_end_and_never_for_its_replacement() {
    let board = Scoreboard::create(2).expect("memory for a test");
    let slot = board.slot(0).expect("two slots");
    slot.claim(1, 7);
    let _ticket = slot.begin(1, b"GET", b"/", b"", b"");
    slot.spent(Phase::Send, 5);
    slot.count(Count::Refused);
    board.retire(slot);
    assert!(board.workers().is_empty());
    slot.claim(1, 8);
    let seen = &board.workers()[0];
    assert_eq!(seen.figures, Figures::default());
    assert_eq!((seen.busy, seen.in_flight.len()), (0, 0));
    let totals = board.totals();
    assert_eq!((totals.count(Count::Requests), totals.count(Count::Refused)), (1, 1));
    assert_eq!(totals.phase(Phase::Send).total_ms, 5);
}

#[test]
fn another_process_could_read_it() {
    let board = Scoreboard::create(2).expect("memory for a test");
    let slot = board.slot(0).expect("two slots");
    slot.claim(1, 7);
    slot.set_pid(4711);
    // Other tests of this process have scoreboards too.
    let readings = read_dir("/proc/self/fd").expect("a list of descriptors");
    let found = readings
        .filter_map(|entry| File::open(entry.ok()?.path()).ok())
        .filter_map(|file| Reading::open(&file).ok())
        .any(|reading| reading.workers().iter().any(|seen| seen.pid == 4711));
    assert!(found);
    assert!(Reading::of_process(std::process::id()).is_ok());
    let other = std::process::Command::new("sleep").arg("60").spawn();
    let mut other = other.expect("a process without a scoreboard");
    assert!(Reading::of_process(other.id()).is_err());
    let _ = other.kill();
    let _ = other.wait();
}

#[test]
fn what_is_no_scoreboard_is_not_read() {
    let memory = memfd_create("other", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
    let memory = File::from(memory.expect("memory for a test"));
    ftruncate(&memory, 1 << 20).expect("memory for a test");
    assert!(Reading::open(&memory).is_err(), "its size can change");
    fcntl_add_seals(&memory, FIXED).expect("memory that can be sealed");
    assert!(Reading::open(&memory).is_err(), "it has no signature");
}
