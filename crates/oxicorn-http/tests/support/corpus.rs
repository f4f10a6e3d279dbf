//! The corpus of wire cases, as `corpus/README.md` describes it.

#![expect(clippy::disallowed_methods, reason = "the crate reads no files, its tests do")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One case: its bytes and the facts of its sidecar.
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    facts: HashMap<String, String>,
}

impl Case {
    /// A fact as text, strings without their quotes.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.get(key).map(String::as_str)
    }

    /// A fact that is a number.
    pub fn number(&self, key: &str) -> usize {
        let fact = self.fact(key).unwrap_or_else(|| panic!("{}: no `{key}`", self.name));
        fact.parse().unwrap_or_else(|_| panic!("{}: `{key}` is not a number", self.name))
    }
}

/// Every case of a folder of the corpus, sorted by name.
pub fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Case {
    let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
    let bytes = unescape(&fs::read(&path).expect("a readable case"));
    let sidecar = fs::read_to_string(path.with_extension("toml")).expect("a sidecar");
    let facts = sidecar
        .lines()
        .map(|line| {
            let (key, value) = line.split_once(" = ").expect("`key = value`");
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            let value = unescape(&value.replace("\\\"", "\"").into_bytes());
            (key.to_owned(), super::latin1(&value))
        })
        .collect();
    Case { name, bytes, facts }
}

/// The bytes that a text with escapes stands for.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match (byte, after) {
            (b'\n', _) => continue,
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                (u8::from_str_radix(digits, 16).expect("hexadecimal"), after)
            }
            (b'\\', _) => panic!("an escape that is not known"),
            _ => (byte, after),
        };
        bytes.push(escaped.0);
        rest = escaped.1;
    }
    bytes
}
