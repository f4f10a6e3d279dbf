//! Request fields as environ variables, with what was made for the request before.
//!
//! Clients repeat themselves: the same names always, the same values often. A name that was seen
//! finds its interned key by the bytes as sent; a value equal to the last one of that key is that
//! `str` again. Both tables are bounded, so what clients make up costs them speed and us nothing,
//! and the common names are there before the first client is.

use std::collections::HashMap;

use oxicorn_http::{Field, Name, cgi};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::ffi::{latin1, latin1_bytes};

/// Most spellings of names that are kept.
const NAMES: usize = 256;
/// Longest spelling that is kept.
const NAME_LEN: usize = 64;
/// Places of the index; a power of two.
const PLACES: usize = 1024;
/// Places that one name may be in.
const PROBES: usize = 8;
/// Longest value that is kept for the next request.
pub(super) const VALUE_LEN: usize = 512;
/// Keys whose values never outlive their request.
const SECRET: [&[u8]; 3] = [b"HTTP_AUTHORIZATION", b"HTTP_COOKIE", b"HTTP_PROXY_AUTHORIZATION"];
/// Names that most requests have, in the spelling of browsers' HTTP/1 and in lower case.
const COMMON: [&str; 32] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "DNT",
    "Expect",
    "Forwarded",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Pragma",
    "Range",
    "Referer",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-User",
    "Upgrade-Insecure-Requests",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-ID",
    "X-Requested-With",
];

/// The tables.
#[derive(Debug)]
pub(super) struct Fields {
    /// Number of a spelling plus one, or 0.
    index: Box<[u16]>,
    spellings: Vec<Spelling>,
    variables: Vec<Variable>,
    /// Number of the request that is being built; tells a second field of a name.
    request: u64,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Spelling {
    name: Box<[u8]>,
    variable: usize,
}

#[derive(Debug)]
struct Variable {
    name: Vec<u8>,
    key: Py<PyString>,
    /// The value of an earlier request, for keys that may keep one.
    last: Option<Py<PyString>>,
    is_secret: bool,
    /// The request that set it last, and with which of its fields.
    request: u64,
    field: usize,
    /// Where in `Joined` its values are, if there are several.
    joined: Option<usize>,
}

/// Values of names that came more than once.
type Joined = Vec<(usize, Vec<u8>)>;

impl Fields {
    pub(super) fn new(py: Python<'_>) -> PyResult<Self> {
        let mut fields = Self {
            index: vec![0; PLACES].into_boxed_slice(),
            spellings: Vec::with_capacity(NAMES),
            variables: Vec::with_capacity(NAMES),
            request: 0,
            key: Vec::with_capacity(NAME_LEN + 5),
        };
        for name in COMMON {
            fields.find(py, name.as_bytes())?;
            fields.find(py, name.to_ascii_lowercase().as_bytes())?;
        }
        Ok(fields)
    }

    /// Sets the variables of all fields, in linear time; `skip` names what must not appear.
    ///
    /// It runs no Python code and allocates nothing that the garbage collector counts (whose
    /// finalizers are Python code), so the caller may hold a lock.
    pub(super) fn set<'py>(
        &mut self,
        environ: &Bound<'py, PyDict>,
        bytes: &[u8],
        fields: &[Field],
        skip: Option<Name>,
    ) -> PyResult<()> {
        let py = environ.py();
        self.request += 1;
        let mut joined = Joined::new();
        let mut strangers: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for (nth, field) in fields.iter().enumerate() {
            if field.known == Name::TransferEncoding || skip == Some(field.known) {
                continue;
            }
            let value = field.value.of(bytes);
            let Some(index) = self.find(py, field.name.of(bytes))? else {
                match strangers.get_mut(&self.key) {
                    Some(values) => join(values, &self.key, value),
                    None => drop(strangers.insert(self.key.clone(), value.to_vec())),
                }
                continue;
            };
            let variable = &mut self.variables[index];
            if variable.request != self.request {
                variable.request = self.request;
                variable.field = nth;
                variable.joined = None;
                let text = variable.value(py, value)?;
                environ.set_item(variable.key.bind(py), text)?;
                continue;
            }
            let place = *variable.joined.get_or_insert_with(|| {
                joined.push((index, fields[variable.field].value.of(bytes).to_vec()));
                joined.len() - 1
            });
            join(&mut joined[place].1, &variable.name, value);
        }
        for (index, value) in joined {
            environ.set_item(self.variables[index].key.bind(py), latin1(py, &value)?)?;
        }
        for (key, value) in strangers {
            environ.set_item(latin1(py, &key)?, latin1(py, &value)?)?;
        }
        Ok(())
    }

    /// The key of a field, if it is one that is kept, and whether its values may not be.
    pub(super) fn key(
        &mut self,
        py: Python<'_>,
        field: &Field,
        bytes: &[u8],
    ) -> PyResult<Option<(Py<PyString>, bool)>> {
        if field.known == Name::TransferEncoding {
            return Ok(None);
        }
        let Some(index) = self.find(py, field.name.of(bytes))? else { return Ok(None) };
        let variable = &self.variables[index];
        Ok(Some((variable.key.clone_ref(py), variable.is_secret)))
    }

    /// The number of the variable of a field name; `None` for a name that is not kept, whose key
    /// is then in `self.key`.
    fn find(&mut self, py: Python<'_>, name: &[u8]) -> PyResult<Option<usize>> {
        let first = hash(name);
        let mut free = None;
        for probe in 0..PROBES {
            let place = (first + probe) % PLACES;
            let Some(number) = self.index[place].checked_sub(1) else {
                free = Some(place);
                break;
            };
            let spelling = &self.spellings[usize::from(number)];
            if *spelling.name == *name {
                return Ok(Some(spelling.variable));
            }
        }
        cgi::key(name, &mut self.key);
        match free {
            Some(place) if name.len() <= NAME_LEN && self.spellings.len() < NAMES => {
                let variable = self.variable(py)?;
                self.spellings.push(Spelling { name: name.into(), variable });
                self.index[place] = self.spellings.len() as u16; // at most NAMES
                Ok(Some(variable))
            }
            // Another spelling may be kept: the values of both belong together.
            _ => Ok(self.variables.iter().position(|variable| variable.name == self.key)),
        }
    }

    /// The number of the variable with the key in `self.key`, which is made if it is new.
    fn variable(&mut self, py: Python<'_>) -> PyResult<usize> {
        if let Some(known) = self.variables.iter().position(|known| known.name == self.key) {
            return Ok(known);
        }
        let text = latin1(py, &self.key)?;
        let key = PyString::intern(py, text.to_str()?).unbind();
        self.variables.push(Variable {
            name: self.key.clone(),
            key,
            last: None,
            is_secret: SECRET.contains(&self.key.as_slice()),
            request: 0,
            field: 0,
            joined: None,
        });
        Ok(self.variables.len() - 1)
    }
}

impl Variable {
    fn value<'py>(&mut self, py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if self.is_secret || value.len() > VALUE_LEN {
            return latin1(py, value);
        }
        reuse(py, &mut self.last, value)
    }
}

/// The last `str` if its bytes are these, else a new one that takes its place.
pub(super) fn reuse<'py>(
    py: Python<'py>,
    last: &mut Option<Py<PyString>>,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyString>> {
    if let Some(last) = last {
        let last = last.bind(py);
        if latin1_bytes(last) == Some(bytes) {
            return Ok(last.clone());
        }
    }
    let text = latin1(py, bytes)?;
    *last = Some(text.clone().unbind());
    Ok(text)
}

/// Appends another value of a name; cookies join as RFC 6265 writes them, all else as lists.
fn join(values: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    match key {
        // One type or length, whatever was sent: the machine has judged them.
        b"CONTENT_TYPE" | b"CONTENT_LENGTH" => return,
        b"HTTP_COOKIE" => values.extend_from_slice(b"; "),
        _ => values.push(b','),
    }
    values.extend_from_slice(value);
}

/// A fast hash of the length, the first and the last eight bytes, which is all of most names;
/// collisions cost at most [`PROBES`] comparisons.
#[inline]
fn hash(name: &[u8]) -> usize {
    const ODD: u64 = 0x517c_c1b7_2722_0a95;
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => {
            let mut word = [0; 8];
            word[..name.len()].copy_from_slice(name);
            (u64::from_le_bytes(word), 0)
        }
    };
    let hash = (first ^ name.len() as u64).wrapping_mul(ODD).rotate_left(23) ^ last;
    (hash.wrapping_mul(ODD) >> 40) as usize
}
