//! Log lines as JSON: one object a line, for collectors that parse.

use std::fmt;

use crate::{About, local_time};

/// One object being written; the keys are ours and need no escape.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    has_some: bool,
}

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, has_some: false }
    }

    /// A text; bytes that are no UTF-8 count as Latin-1.
    pub(crate) fn text(&mut self, key: &str, value: &[u8]) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        let is_utf8 = str::from_utf8(value).is_ok();
        for &byte in value {
            match byte {
                b'"' | b'\\' => self.out.extend([b'\\', byte]),
                b'\n' => self.out.extend(b"\\n"),
                b'\t' => self.out.extend(b"\\t"),
                _ if byte.is_ascii_control() || (!byte.is_ascii() && !is_utf8) => {
                    self.out.extend(format!("\\u{byte:04x}").into_bytes());
                }
                _ => self.out.push(byte),
            }
        }
        self.out.push(b'"');
        self
    }

    /// A text, if there is one.
    pub(crate) fn known(&mut self, key: &str, value: &[u8]) -> &mut Self {
        if value.is_empty() { self } else { self.text(key, value) }
    }

    /// What names a request, if it has a name.
    pub(crate) fn about(&mut self, about: Option<&About>) -> &mut Self {
        for (key, value) in about.into_iter().flat_map(About::known) {
            self.text(key, value.as_bytes());
        }
        self
    }

    /// A number.
    pub(crate) fn number(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.key(key);
        self.out.extend(value.to_string().into_bytes());
        self
    }

    /// A moment of the wall clock, as RFC 3339 has it.
    pub(crate) fn time(&mut self, key: &str, unix_secs: i64) -> &mut Self {
        let mut iso = Vec::with_capacity(32);
        local_time::write_iso(unix_secs, &mut iso);
        // `2026-11-22 23:04:35 +0000` without the second space, with a T and another colon.
        if let [date @ .., b' ', h1, h2, b':', m1, m2, b':', s1, s2, b' ', sign, z1, z2, z3, z4] =
            iso.as_slice()
        {
            let time = [b'T', *h1, *h2, b':', *m1, *m2, b':', *s1, *s2];
            let zone = [*sign, *z1, *z2, b':', *z3, *z4];
            iso = [date, &time, &zone].concat();
        }
        self.text(key, &iso)
    }

    /// Ends the object, and the line with it.
    pub(crate) fn end(&mut self) {
        self.out.extend(b"}\n");
    }

    fn key(&mut self, key: &str) {
        if std::mem::replace(&mut self.has_some, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend(key.as_bytes());
        self.out.extend(b"\":");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_client_sends_is_a_string() {
        let mut line = Vec::new();
        Object::begin(&mut line)
            .text("a", b"q\"b\\n\nc\x01\x7f")
            .text("b", "\u{fc}".as_bytes())
            .text("c", b"\xfc\x80")
            .known("d", b"")
            .number("e", 7)
            .end();
        let expected = "{\"a\":\"q\\\"b\\\\n\\nc\\u0001\\u007f\",\"b\":\"\u{fc}\",\
                        \"c\":\"\\u00fc\\u0080\",\"e\":7}\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn times_are_as_rfc_3339_has_them() {
        let mut line = Vec::new();
        Object::begin(&mut line).time("t", 1_795_376_646).end();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.len(), "{\"t\":\"2026-11-22T23:04:35+00:00\"}\n".len());
        assert_eq!((line.find('T'), line.contains(' ')), (Some(16), false));
    }
}
