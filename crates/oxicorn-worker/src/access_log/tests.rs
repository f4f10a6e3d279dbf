//! One test per rule of the notation, and one for every atom.

use oxicorn_http::{Field, Name, Span, Version};
use proptest::prelude::*;

use super::*;

/// A head whose fields are these, without going through the parser.
fn head(fields: &[(&[u8], &[u8])]) -> (Head, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut span = |part: &[u8]| {
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(part);
        Span { start, len: u32::try_from(part.len()).unwrap() }
    };
    let mut head = Head {
        method: span(b"GET"),
        target: span(b"/caf%C3%A9?q=a%20b"),
        version: Version::Http11,
        ..Head::default()
    };
    head.path = Span { start: head.target.start, len: 10 };
    head.query = Some(Span { start: head.target.start + 11, len: 7 });
    head.fields = fields
        .iter()
        .map(|(name, value)| Field { name: span(name), value: span(value), known: Name::Other })
        .collect();
    (head, bytes)
}

/// The line of `format` for one exchange in which everything is known.
fn line(format: &str) -> String {
    let (head, bytes) = head(&[
        (b"Host", b"a.test"),
        (b"Referer", b"http://b.test/"),
        (b"User-Agent", b"probe/1 \"x\""),
        (b"Authorization", b"Basic QWxhZGRpbjpvcGVu"),
        (b"X-Twice", b"1"),
        (b"x-twice", b"2"),
    ]);
    let record = AccessRecord {
        remote_addr: b"192.0.2.1",
        status: 200,
        body_bytes: 1234,
        duration: Duration::from_micros(3_000_042),
        response_fields: b"HTTP/1.1 200 a: b\r\nX-Out: one\r\nx-out:\ttwo\r\n\r\n",
        environ: &[Some("wört".as_bytes().to_vec()), None],
        pid: 77,
        unix_secs: 1_795_376_646,
        ..AccessRecord::of_request(&head, &bytes)
    };
    write(format, &record)
}

fn write(format: &str, record: &AccessRecord<'_>) -> String {
    let mut line = Vec::new();
    AccessFormat::compile(format).unwrap().write(record, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn each_atom_has_gunicorns_meaning() {
    let expected = [
        ("h", "192.0.2.1"),
        ("l", "-"),
        ("u", "Aladdin"),
        ("r", "GET /caf%C3%A9?q=a%20b HTTP/1.1"),
        ("m", "GET"),
        ("U", r"/caf\xc3\xa9"),
        ("q", "q=a%20b"),
        ("H", "HTTP/1.1"),
        ("s", "200"),
        ("b", "1234"),
        ("B", "1234"),
        ("f", "http://b.test/"),
        ("a", r#"probe/1 \"x\""#),
        ("T", "3"),
        ("M", "3000"),
        ("D", "3000042"),
        ("L", "3.000042"),
        ("p", "<77>"),
        ("{X-Twice}i", "2"),
        ("{host}i", "a.test"),
        ("{none}i", "-"),
        ("{X-OUT}o", "two"),
        ("{none}o", "-"),
        ("{wsgi.Key}e", r"w\xc3\xb6rt"),
        ("Z", "-"),
        ("{host}z", "-"),
        ("", "-"),
    ];
    for (atom, value) in expected {
        assert_eq!(line(&format!("<%({atom})s>")), format!("<{value}>"), "atom {atom}");
    }
}

#[test]
fn time_stands_in_brackets_with_its_offset() {
    let time = line("%(t)s");
    assert!(time.starts_with('[') && time.ends_with(']') && time.len() == 28, "{time}");
    assert!(time.contains("/Nov/2026:"), "{time}");
}

#[test]
fn the_default_is_the_combined_format() {
    let line = line(DEFAULT_FORMAT);
    let (before, after) = (line.find('[').unwrap(), line.find(']').unwrap());
    assert_eq!(&line[..before], "192.0.2.1 - Aladdin ");
    assert_eq!(
        &line[after + 1..],
        r#" "GET /caf%C3%A9?q=a%20b HTTP/1.1" 200 1234 "http://b.test/" "probe/1 \"x\"""#
    );
}

#[test]
fn what_is_not_known_is_a_dash() {
    let record = AccessRecord { status: 400, ..AccessRecord::default() };
    assert_eq!(
        write("%(h)s %(u)s %(r)s %(m)s %(U)s %(s)s %(f)s %({x}e)s", &record),
        "- - - - - 400 - -"
    );
    assert_eq!(write("%(s)s[%(q)s]", &AccessRecord::default()), "-[]");
    let half = AccessRecord { method: b"GET", ..AccessRecord::default() };
    assert_eq!(write("%(r)s", &half), "GET - -");
}

#[test]
fn widths_flags_and_precisions_are_pythons() {
    assert_eq!(line("[%(s)6s]"), "[   200]");
    assert_eq!(line("[%(s)-6s]"), "[200   ]");
    assert_eq!(line("[%(s)06d]"), "[000200]");
    assert_eq!(line("[%(s)+d]"), "[+200]");
    assert_eq!(line("[%(s)+06d]"), "[+00200]");
    assert_eq!(line("[%(s) d]"), "[ 200]");
    assert_eq!(line("[%(D)10d|%(D).9d]"), "[   3000042|003000042]");
    assert_eq!(line("[%(h).3s]"), "[192]");
    assert_eq!(line("[%(h)-5.3s]"), "[192  ]");
    assert_eq!(line("[%(T)f|%(T).1f|%(T).0f]"), "[3.000000|3.0|3]");
    assert_eq!(line("[%(s)x|%(B)ld]"), "[c8|1234]");
    assert_eq!(line("[%(p)d]"), "[77]");
    assert_eq!(line("100%% %(m)s%%"), "100% GET%");
}

#[test]
fn formats_that_python_would_refuse_are_refused() {
    let refused = |text: &str| AccessFormat::compile(text).unwrap_err();
    assert_eq!(refused("a %s"), FormatError::NoName { at: 2 });
    assert_eq!(refused("%"), FormatError::NoName { at: 0 });
    assert_eq!(refused("%)"), FormatError::NoName { at: 0 });
    assert_eq!(refused("%(h"), FormatError::NoName { at: 0 });
    assert_eq!(refused("%% %(h)"), FormatError::Cut { at: 3 });
    assert_eq!(refused("%(h)99999999999s"), FormatError::Cut { at: 0 });
    assert_eq!(refused("%(h)d"), FormatError::NotANumber { name: "h".to_owned(), conversion: 'd' });
    assert_eq!(refused("%(h)q"), FormatError::Conversion { name: "h".to_owned(), conversion: 'q' });
    assert_eq!(refused("a\nb"), FormatError::LineBreak);
    for text in ["a %s", "%(h)", "%(h)d", "%(h)q", "\n"] {
        assert!(!refused(text).to_string().contains('\n'));
    }
}

#[test]
fn a_format_says_what_it_needs() {
    let needs = |text: &str| AccessFormat::compile(text).unwrap().needs().clone();
    assert_eq!(needs("%(h)s %(r)s %(s)s"), AccessNeeds::default());
    assert!(needs("%(u)s").request_fields);
    assert!(needs("%({a}o)s").response_fields);
    assert!(needs("%(L)s").duration);
    let all = needs(DEFAULT_FORMAT);
    assert!(all.request_fields && all.wall_clock && !all.duration && !all.response_fields);
    assert_eq!(needs("%({B}e)s %({a}e)s %({b}e)s").environ, ["b", "a"]);
}

#[test]
fn credentials_that_are_none_give_no_user() {
    for value in ["Bearer abc", "Basic", "Basic %%%", "Basic Og==", "Basic YQ=="] {
        let (head, bytes) = head(&[(b"Authorization", value.as_bytes())]);
        assert_eq!(write("%(u)s", &AccessRecord::of_request(&head, &bytes)), "-", "{value}");
    }
}

#[test]
fn records_of_many_threads_are_whole_lines() {
    let path = std::env::temp_dir().join(format!("oxicorn-access.{}.log", std::process::id()));
    let format = AccessFormat::compile("%(m)s %(s)d").unwrap();
    let log = AccessLog::open(format, LogTarget::File(path.clone())).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    log.record(&AccessRecord { method: b"GET", status: 204, ..Default::default() });
                }
            });
        }
    });
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text, "GET 204\n".repeat(400));
    assert_eq!(log.dropped(), 0);
}

proptest! {
    /// Whatever a client sends, it gets one line of printable ASCII.
    #[test]
    fn client_bytes_never_make_two_lines(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 8),
    ) {
        let everything = "%(h)s %(u)s %(t)s \"%(r)s\" %(m)s %(U)s %(q)s %(H)s \"%(f)s\" \"%(a)-9s\" \
                          %({x}i).20s %({y}o)s %({z}e)40s";
        let (head, bytes) = head(&[
            (b"Referer", &parts[0]),
            (b"User-Agent", &parts[1]),
            (b"Authorization", &parts[2]),
            (b"X", &parts[3]),
        ]);
        let record = AccessRecord {
            remote_addr: &parts[4],
            method: &parts[5],
            target: &parts[6],
            path: &parts[6],
            query: &parts[7],
            protocol: &parts[0],
            response_fields: &parts[1],
            environ: &[Some(parts[2].clone())],
            ..AccessRecord::of_request(&head, &bytes)
        };
        let line = write(everything, &record);
        prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
    }

    /// No format of an operator makes a panic, or a line break.
    #[test]
    fn any_format_is_compiled_or_refused(text in "[%(){}a-zA-Z0-9.#+ \n-]{0,40}") {
        if let Ok(format) = AccessFormat::compile(&text) {
            let mut line = Vec::new();
            format.write(&AccessRecord::default(), &mut line);
            prop_assert!(!line.contains(&b'\n'));
        }
    }
}
