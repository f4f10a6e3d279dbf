//! Connections that the application takes over.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxicorn_worker::Config;

use crate::support::{Client, Running, SWITCH, eventually};

const OPENING: &str =
    "GET /talk HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn open(running: &Running) -> Client {
    let mut client = running.dial();
    client.send(OPENING);
    assert_eq!(client.response().status, 101);
    client
}

#[test]
fn bytes_go_both_ways_until_both_ends() {
    for threads in [1, 3] {
        let running = Running::start(Config { threads, ..Config::default() });
        let mut client = running.dial();
        client.send(format!("{OPENING}behind it"));
        let data: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut writer = client.stream.try_clone().expect("descriptors");
        let sent = data.clone();
        let sender = std::thread::spawn(move || {
            std::io::Write::write_all(&mut writer, &sent).expect("send");
            writer.shutdown(Shutdown::Write).expect("half-close");
        });
        let got = client.rest();
        sender.join().expect("no panic");
        assert!(got == [SWITCH, b"behind it", &data, b"over"].concat(), "{} bytes", got.len());
    }
}

#[test]
fn a_conversation_takes_no_application_thread() {
    let running = Running::start(Config { threads: 1, websockets: 3, ..Config::default() });
    let clients: Vec<Client> = (0..3).map(|_| open(&running)).collect();
    let mut other = running.dial();
    assert_eq!(other.get("/plain").body, b"/plain");
    other.send(OPENING);
    assert_eq!(other.response().status, 503);
    drop(clients);
    eventually("a place", || {
        let mut client = running.dial();
        client.send(OPENING);
        client.response().status == 101
    });
}

#[test]
fn a_request_that_is_no_get_is_like_any_other() {
    let running = Running::start(Config::default());
    let mut client = running.dial();
    client.send(OPENING.replace("GET", "POST"));
    assert_eq!(client.response().body, b"/talk");
}

#[test]
fn a_drain_ends_what_the_client_says_and_waits_for_the_answer() {
    let mut running =
        Running::start(Config { graceful_timeout: Duration::from_secs(50), ..Config::default() });
    let mut client = open(&running);
    client.send("last words, ");
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut client.stream, &mut first).expect("an echo");
    running.worker.drain();
    assert_eq!(client.rest(), b"over");
    drop(client);
    running.join();
}

#[test]
fn a_stop_cuts_it() {
    let mut running = Running::start(Config::default());
    let mut client = open(&running);
    running.worker.stop();
    running.join();
    assert!(client.is_closed());
    eventually("its end", || running.app.running.load(Ordering::SeqCst) == 0);
}
