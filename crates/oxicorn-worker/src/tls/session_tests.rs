use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ConnectionTrafficSecrets, DigitallySignedStruct,
    NamedGroup, SignatureScheme, StreamOwned,
};

use super::*;
use crate::tls::{Credentials, Sources};
use crate::wire::Wire;

type Client = StreamOwned<ClientConnection, UnixStream>;

/// Trusts everybody: what is tested is the transport.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn terminator() -> Terminator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let pair = (folder.join("certificate.pem"), folder.join("key.pem"));
    let sources = Sources { certificates: vec![pair], ..Sources::default() };
    let (credentials, _) = Credentials::open(sources).expect("good files");
    Terminator::new(Arc::new(credentials), true)
}

/// A session whose handshake is over, and what the client, on a thread, made of the connection.
fn connect<T: Send + 'static>(
    version: &'static rustls::SupportedProtocolVersion,
    client: impl FnOnce(Client) -> T + Send + 'static,
) -> (Session, Stream, JoinHandle<T>) {
    connect_by(default_provider(), version, client)
}

/// The same for a client that has this cryptography.
fn connect_by<T: Send + 'static>(
    provider: CryptoProvider,
    version: &'static rustls::SupportedProtocolVersion,
    client: impl FnOnce(Client) -> T + Send + 'static,
) -> (Session, Stream, JoinHandle<T>) {
    let terminator = terminator();
    let (stream, other) = Stream::pair().expect("sockets");
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("shop.example").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let thread = thread::spawn(move || {
        let mut tls = StreamOwned::new(connection, UnixStream::from(other));
        tls.conn.complete_io(&mut tls.sock).expect("handshake");
        client(tls)
    });
    let mut session = terminator.session();
    let mut greeting = session.greet(&stream, &terminator, &[]);
    while matches!(greeting, Greeting::NotNow) {
        thread::sleep(Duration::from_millis(1));
        greeting = session.greet(&stream, &terminator, &[]);
    }
    assert!(matches!(greeting, Greeting::Done(_)), "{greeting:?}");
    (session, stream, thread)
}

/// A session, and the names of the group and the cipher that both sides agreed on.
fn agreed_with(provider: CryptoProvider) -> (Option<NamedGroup>, Option<CipherSuite>) {
    let (session, _stream, client) =
        connect_by(provider, &rustls::version::TLS13, |tls| tls.conn.negotiated_cipher_suite());
    let suite = client.join().expect("a client").map(|suite| suite.suite());
    let State::Open(connection) = &session.state else { panic!("not open") };
    (connection.negotiated_key_exchange_group().map(|group| group.name()), suite)
}

#[test]
fn a_key_exchange_that_outlasts_quantum_computers_is_taken_where_it_is_offered() {
    let (group, _) = agreed_with(default_provider());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    let without = |kept: &[NamedGroup]| {
        let mut provider = default_provider();
        provider.kx_groups.retain(|group| kept.contains(&group.name()));
        agreed_with(provider).0
    };
    for only in [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1] {
        assert_eq!(without(&[only]), Some(only));
    }
}

#[test]
fn our_order_of_ciphers_counts_unless_the_client_wants_chacha_before_aes() {
    use rustls::crypto::aws_lc_rs::cipher_suite::{
        TLS13_AES_128_GCM_SHA256 as AES_128, TLS13_AES_256_GCM_SHA384 as AES_256,
        TLS13_CHACHA20_POLY1305_SHA256 as CHACHA,
    };
    for (offered, taken) in [
        (vec![AES_256, CHACHA, AES_128], AES_128),
        (vec![AES_256, CHACHA], AES_256),
        (vec![CHACHA, AES_256, AES_128], CHACHA),
        (vec![CHACHA], CHACHA),
    ] {
        let provider = CryptoProvider { cipher_suites: offered, ..default_provider() };
        assert_eq!(agreed_with(provider).1, Some(taken.suite()));
    }
}

#[test]
fn tickets_do_not_wait_for_a_request() {
    let (mut session, stream, client) = connect(&rustls::version::TLS13, |mut tls| {
        while tls.conn.tls13_tickets_received() < 2 {
            tls.conn.read_tls(&mut tls.sock).expect("tickets");
            tls.conn.process_new_packets().expect("sound ones");
        }
    });
    assert_eq!(session.read(&stream, &mut [0; 10]), Moved::NotNow);
    client.join().expect("a client");
}

#[test]
fn tickets_go_out_with_the_first_answer() {
    let (say, asked) = std::sync::mpsc::channel();
    let (mut session, stream, client) = connect(&rustls::version::TLS13, move |mut tls| {
        tls.write_all(b"?").expect("written");
        say.send(()).expect("somebody waits");
        let mut record = [0; 1 << 14];
        let count = tls.sock.read(&mut record).expect("one piece");
        let mut piece = record.get(..count).expect("no more than that");
        while !piece.is_empty() {
            tls.conn.read_tls(&mut piece).expect("bytes");
        }
        tls.conn.process_new_packets().expect("sound ones");
        let mut answer = [0; 2];
        let length = tls.conn.reader().read(&mut answer).expect("an answer");
        (tls.conn.tls13_tickets_received(), answer, length)
    });
    asked.recv().expect("it has asked");
    assert_eq!(session.read(&stream, &mut [0; 10]), Moved::Bytes(1));
    assert_eq!(session.write(&stream, &[b"!"]), Moved::Bytes(1));
    assert_eq!(client.join().expect("a client"), (2, [b'!', 0], 1));
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).expect("small")).collect()
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn a_slow_client_gets_every_byte_once_and_in_order() {
    for version in VERSIONS {
        let (mut session, stream, client) = connect(version, |mut tls| {
            let mut got = Vec::new();
            let mut piece = vec![0; 70_000];
            for round in 0.. {
                // Now and then the server finds no room.
                if round % 16 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
                match tls.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => got.extend_from_slice(&piece[..count]),
                    Err(error) => panic!("{error}"),
                }
            }
            got
        });
        let data = pattern(6_000_000);
        let (mut at, mut refusals, mut size) = (0, 0, 1);
        while at < data.len() {
            size = size * 7 % 300_007 + 1;
            let offered = &data[at..data.len().min(at + size)];
            let (first, second) = offered.split_at(offered.len() / 3);
            match session.write(&stream, &[first, &[], second]) {
                Moved::Bytes(count) => {
                    assert!(count <= offered.len());
                    at += count;
                }
                Moved::NotNow => {
                    refusals += 1;
                    thread::sleep(Duration::from_micros(200));
                }
                Moved::Broken => panic!("broken"),
            }
        }
        assert!(refusals > 0, "the socket was never full");
        assert!(!session.wants_room(), "nobody would flush that");
        session.say_goodbye(&stream);
        while session.wants_room() {
            // What waits for room goes out with whatever is done next.
            assert_eq!(session.read(&stream, &mut [0; 1]), Moved::NotNow);
            thread::sleep(Duration::from_millis(1));
        }
        stream.finish_writing();
        assert!(client.join().expect("a client") == data);
    }
}

#[test]
fn what_a_read_leaves_is_told_of() {
    for version in VERSIONS {
        let (mut session, stream, client) = connect(version, |mut tls| {
            tls.write_all(&pattern(50_000)).expect("written");
            tls.conn.send_close_notify();
            tls.flush().expect("flushed");
            tls
        });
        let _open = client.join().expect("a client");
        let (mut got, mut small) = (Vec::new(), [0; 1000]);
        loop {
            match session.read(&stream, &mut small) {
                Moved::Bytes(0) => break,
                Moved::Bytes(count) => got.extend_from_slice(&small[..count]),
                other => panic!("{other:?} after {} bytes, though the end is there", got.len()),
            }
        }
        assert!(got == pattern(50_000));
        assert!(!session.has_more());
    }
}

#[test]
fn a_file_goes_out_whole() {
    let data = pattern(2_000_000);
    let path = std::env::temp_dir().join(format!("oxicorn-tls-{}", std::process::id()));
    std::fs::write(&path, &data).expect("written");
    let file = std::fs::File::open(&path).expect("opened");
    std::fs::remove_file(&path).expect("removed");
    let (mut session, stream, client) = connect(&rustls::version::TLS13, |mut tls| {
        let mut got = Vec::new();
        tls.read_to_end(&mut got).expect("the whole, and a proper end");
        got
    });
    let mut at = 100;
    while at < data.len() {
        use std::os::fd::AsFd;
        match session.send_file(&stream, file.as_fd(), at as u64, data.len() - at) {
            Moved::Bytes(count @ 1..) => at += count,
            Moved::NotNow => thread::sleep(Duration::from_micros(200)),
            other => panic!("{other:?}"),
        }
    }
    session.say_goodbye(&stream);
    stream.finish_writing();
    assert!(client.join().expect("a client") == data[100..]);
}

#[test]
fn a_spoiled_session_has_no_proper_end() {
    let (mut session, stream, client) = connect(&rustls::version::TLS13, |mut tls| {
        let mut got = Vec::new();
        tls.read_to_end(&mut got).map(|_| got)
    });
    assert_eq!(session.write(&stream, &[b"half"]), Moved::Bytes(4));
    session.spoil();
    session.say_goodbye(&stream);
    stream.finish_writing();
    let error = client.join().expect("a client").expect_err("no proper end");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

/// A connection whose socket is full to the last byte, with what is not TLS, until the given function
/// is called; its client gives what it reads then.
fn full(
    version: &'static rustls::SupportedProtocolVersion,
) -> (Session, Stream, impl FnOnce(), JoinHandle<io::Result<usize>>) {
    let (said, hear) = std::sync::mpsc::channel();
    let (say, heard) = std::sync::mpsc::channel();
    let (mut session, stream, client) = connect(version, move |mut tls| {
        let mut piece = [0; 4096];
        assert_eq!(tls.read(&mut piece).expect("data"), 1);
        // What follows is not TLS, and must not be read together with it.
        say.send(()).expect("somebody waits");
        let mut noise: usize = hear.recv().expect("a number");
        while noise > 0 {
            let wanted = noise.min(piece.len());
            noise -= tls.sock.read(&mut piece[..wanted]).expect("noise");
        }
        tls.read(&mut piece)
    });
    assert_eq!(session.write(&stream, &[b"x"]), Moved::Bytes(1));
    heard.recv().expect("it has read");
    let mut noise = 0;
    for size in [4096, 1] {
        while let Moved::Bytes(count) = stream.write(&[0; 4096][..size]) {
            noise += count;
        }
    }
    (session, stream, move || said.send(noise).expect("it listens"), client)
}

#[test]
fn the_proper_end_waits_for_room() {
    for version in VERSIONS {
        let (mut session, stream, make_room, client) = full(version);
        assert!(session.say_goodbye(&stream));
        make_room();
        while session.say_goodbye(&stream) {
            thread::sleep(Duration::from_millis(1));
        }
        stream.finish_writing();
        assert_eq!(client.join().expect("a client").expect("a proper end"), 0);
    }
}

#[test]
fn the_end_of_writing_waits_for_the_proper_end() {
    for version in VERSIONS {
        let (session, stream, make_room, client) = full(version);
        let wire = Wire::secured(stream, session);
        assert!(!wire.finish_writing());
        make_room();
        while !wire.finish_writing() {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(client.join().expect("a client").expect("a proper end"), 0);
    }
}

#[test]
fn nothing_waits_for_room_in_a_socket_that_is_broken() {
    let (said, hear) = std::sync::mpsc::channel::<()>();
    // It leaves when the handshake is over on both sides.
    let leave = move |_: Client| hear.recv().is_err();
    let (mut session, stream, client) = connect(&rustls::version::TLS13, leave);
    drop(said);
    assert!(client.join().expect("a client"));
    assert!(!session.say_goodbye(&stream));
    assert!(!session.wants_room());
}

/// A record of TLS 1.3 with these data, sealed by hand: rustls makes no empty ones.
fn record(key: &LessSafeKey, iv: &[u8], number: u64, data: &[u8]) -> Vec<u8> {
    let mut nonce: [u8; 12] = iv.try_into().expect("twelve bytes");
    for (byte, counted) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *byte ^= counted;
    }
    let mut sealed = [data, &[23]].concat();
    let length = u16::try_from(sealed.len() + 16).expect("small").to_be_bytes();
    let head = [23, 3, 3, length[0], length[1]];
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(head), &mut sealed).expect("sealed");
    [&head[..], &sealed].concat()
}

/// A session whose client has sent this many records with these data each, and the client's socket.
fn after_records(count: u64, data: &'static [u8]) -> (Session, Stream, UnixStream) {
    let (mut session, stream, client) = connect(&rustls::version::TLS13, move |mut tls| {
        // What the server says after the handshake has to be read before keys are taken out.
        assert_eq!(tls.read(&mut [0; 9]).expect("data"), 1);
        let secrets = tls.conn.dangerous_extract_secrets().expect("keys");
        let (first, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            panic!("another cipher")
        };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).expect("a key"));
        let records = (first..first + count).flat_map(|at| record(&key, iv.as_ref(), at, data));
        let mut socket = tls.sock;
        // In one piece, as the socket has room for it then.
        socket.write_all(&records.collect::<Vec<_>>()).expect("written");
        socket
    });
    assert_eq!(session.write(&stream, &[b"x"]), Moved::Bytes(1));
    let socket = client.join().expect("a client");
    (session, stream, socket)
}

#[test]
fn records_of_one_byte_do_not_keep_the_reader() {
    let count = 6000;
    let (mut session, stream, _open) = after_records(count, b"x");
    let (mut buffer, mut got, mut turns) = (vec![0; 64 * 1024], 0, 0);
    while let Moved::Bytes(some) = session.read(&stream, &mut buffer) {
        got += some as u64;
        turns += 1;
    }
    assert_eq!(got, count);
    assert!(turns > 1, "others had no turn");
}

#[test]
fn many_records_without_data_end_the_connection() {
    let (mut session, stream, _open) = after_records(100, b"");
    assert_eq!(session.read(&stream, &mut [0; 10]), Moved::Broken);
}

#[test]
fn who_does_not_speak_tls_is_heard_and_answered_as_it_is() {
    let terminator = terminator();
    let (stream, other) = Stream::pair().expect("sockets");
    let mut client = UnixStream::from(other);
    let mut session = terminator.session();
    assert!(matches!(session.greet(&stream, &terminator, &[]), Greeting::NotNow));
    assert_eq!(terminator.unfinished(), 1);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    let Greeting::Plain(bytes) = session.greet(&stream, &terminator, &[]) else {
        panic!("not plain")
    };
    assert_eq!(bytes, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(terminator.unfinished(), 0);
    assert_eq!(session.write(&stream, &[b"no", b"!"]), Moved::Bytes(3));
    let mut answer = [0; 3];
    client.read_exact(&mut answer).expect("read");
    assert_eq!(&answer, b"no!");
}
