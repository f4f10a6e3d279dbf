//! Keys and paths of environ, and the Date field.

use oxicorn_http::{cgi, date};

#[test]
fn keys_are_prefixed_upper_case_and_replace_what_was_there() {
    let mut key = b"old".to_vec();
    for (name, expected) in [
        ("Host", "HTTP_HOST"),
        ("x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
        ("Content-Type", "CONTENT_TYPE"),
        ("CONTENT-LENGTH", "CONTENT_LENGTH"),
        ("Content_Length", "HTTP_CONTENT_LENGTH"),
        ("X.1~", "HTTP_X.1~"),
    ] {
        cgi::key(name.as_bytes(), &mut key);
        assert_eq!(key, expected.as_bytes());
    }
}

#[test]
fn paths_are_decoded_once() {
    for (path, expected) in [
        ("/a%20b", "/a b"),
        ("/%2Fa%2f", "//a/"),
        ("/%2520", "/%20"),
        ("/a+b%3b..//", "/a+b;..//"),
        ("/%zz%4", "/%zz%4"),
        ("/%", "/%"),
        ("/%%41", "/%A"),
    ] {
        assert_eq!(
            cgi::decode_path(path.as_bytes()).as_deref(),
            Some(expected.as_bytes()),
            "{path}"
        );
    }
    assert_eq!(cgi::decode_path(b"/%00%ff").as_deref(), Some(&b"/\0\xff"[..]));
    assert_eq!(cgi::decode_path(b"/plain//path+"), None);
}

#[test]
fn dates_are_imf_fixdates() {
    for (secs, expected) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(date::imf_fixdate(secs), expected.as_bytes(), "{secs}");
    }
}
