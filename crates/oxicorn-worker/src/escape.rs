//! Bytes that a client chose, made harmless for a log: one line, printable ASCII, quotable.

use std::fmt::{self, Write as _};

/// Appends `bytes` with control characters and non-ASCII bytes as `\xHH`, quotes as `\"` and
/// backslashes as `\\`.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_special(byte) {
            continue;
        }
        out.extend_from_slice(bytes.get(plain..at).unwrap_or_default());
        plain = at + 1;
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            _ => out.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
}

/// Shows bytes that a client chose in a log message, escaped as in the access log.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunk_by(|a, b| is_special(*a) == is_special(*b)) {
            match str::from_utf8(chunk) {
                Ok(plain) if !chunk.iter().any(|byte| is_special(*byte)) => f.write_str(plain)?,
                _ => {
                    for &byte in chunk {
                        match byte {
                            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                            _ => write!(f, "\\x{byte:02x}")?,
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// A message for the error log: like what it wraps, but control characters other than newline and
/// tab come out as `\xHH`, so that no message can move a terminal's cursor.
pub(crate) struct Message<'a>(pub(crate) &'a mut Vec<u8>);

impl fmt::Write for Message<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if is_control(last) => {
                    self.0.extend_from_slice(part.get(..at).unwrap_or_default().as_bytes());
                    for byte in part.get(at..).unwrap_or_default().bytes() {
                        self.0.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
                    }
                }
                _ => self.0.extend_from_slice(part.as_bytes()),
            }
        }
        Ok(())
    }
}

/// Appends a message to a line.
pub(crate) fn write_message(message: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Only a `Display` of ours could fail here, and what it wrote until then is kept.
    let _ = Message(out).write_fmt(message);
}

const fn is_special(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')
}

fn is_control(char: char) -> bool {
    char.is_control() && char != '\n' && char != '\t'
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_could_break_a_line_or_a_quotation_is_escaped() {
        assert_eq!(escaped(b"/a?b=c d"), "/a?b=c d");
        assert_eq!(escaped(b"a\r\nb\t\x1b[31m\x7f"), r"a\x0d\x0ab\x09\x1b[31m\x7f");
        assert_eq!(escaped("é\"\\".as_bytes()), r#"\xc3\xa9\"\\"#);
    }

    #[test]
    fn a_message_keeps_its_lines_and_letters_but_no_control_characters() {
        let mut out = Vec::new();
        write_message(format_args!("é {}\tb\n\u{9b}1m\r", "\x1b[2J"), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "é \\x1b[2J\tb\n\\xc2\\x9b1m\\x0d");
    }

    proptest! {
        #[test]
        fn any_bytes_become_printable_and_both_ways_agree(bytes: Vec<u8>) {
            let text = escaped(&bytes);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(text, Escaped(&bytes).to_string());
        }
    }
}
