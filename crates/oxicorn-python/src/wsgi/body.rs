//! From what the application returned to bytes on the wire.

use oxicorn_worker::Gone;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::file_wrapper::{FileWrapper, PlainFiles, Region};
use super::start::{send_item, type_error};
use super::transaction::{JOIN, Phase, Slot};

/// Why a response was not sent to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The application raised, or broke the protocol.
    Application(PyErr),
    /// The application returned without having called `start_response`.
    NoResponse,
    /// The client is gone.
    Gone,
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Application(error)
    }
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Sends the whole response.
pub(super) fn send(
    py: Python<'_>,
    slot: &Slot,
    result: &Bound<'_, PyAny>,
    files: &PlainFiles,
) -> Result<(), Failure> {
    if let Some(only) = only_item(result) {
        return send_only(py, slot, &only);
    }
    if let Ok(wrapper) = result.cast_exact::<FileWrapper>() {
        let by_kernel = slot.claim(py).exchange().sendfile();
        if let Some(region) = by_kernel.then(|| files.region(py, wrapper.get())).flatten() {
            return send_file(py, slot, region);
        }
        return send_items(py, slot, result, true);
    }
    match known_items(result) {
        Some(items) => send_known(py, slot, &items),
        None => send_items(py, slot, result, false),
    }
}

/// The items of a list or tuple that has nothing else in it than it should.
fn known_items<'py>(result: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyBytes>>> {
    let bytes = |item: Bound<'py, PyAny>| item.cast_into::<PyBytes>().ok();
    match result.cast_exact::<PyList>() {
        Ok(list) => list.iter().map(bytes).collect(),
        Err(_) => result.cast_exact::<PyTuple>().ok()?.iter().map(bytes).collect(),
    }
}

/// Sends a body of which everything is there, so that its length is known.
fn send_known(py: Python<'_>, slot: &Slot, items: &[Bound<'_, PyBytes>]) -> Result<(), Failure> {
    let total: usize = items.iter().map(|item| item.as_bytes().len()).sum();
    let mut live = slot.claim(py);
    begun(live.phase())?;
    if total == 0 {
        return Ok(live.send_end()?);
    }
    if total <= JOIN {
        let joined: Vec<u8> = items.iter().flat_map(|item| item.as_bytes()).copied().collect();
        return send_item(py, &mut live, &joined, true);
    }
    live.announce(total as u64);
    for item in items {
        if !item.as_bytes().is_empty() && !live.is_bodiless() {
            send_item(py, &mut live, item.as_bytes(), false)?;
        }
    }
    Ok(live.send_end()?)
}

/// The item of a list or tuple that has one.
fn only_item<'py>(result: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if let Ok(list) = result.cast_exact::<PyList>() {
        return if list.len() == 1 { list.get_item(0).ok() } else { None };
    }
    let tuple = result.cast_exact::<PyTuple>().ok()?;
    if tuple.len() == 1 { tuple.get_item(0).ok() } else { None }
}

/// Sends a body of one item, whose length is the whole length.
fn send_only(py: Python<'_>, slot: &Slot, item: &Bound<'_, PyAny>) -> Result<(), Failure> {
    let item = bytes(item)?;
    let mut live = slot.claim(py);
    begun(live.phase())?;
    if item.as_bytes().is_empty() {
        live.send_end()?;
    } else {
        send_item(py, &mut live, item.as_bytes(), true)?;
    }
    Ok(())
}

/// Sends item by item as they come (PEP 3333, "buffering and streaming").
///
/// Of a file only the part that Content-Length names is meant: with `is_file` the rest is not read.
fn send_items(
    py: Python<'_>,
    slot: &Slot,
    result: &Bound<'_, PyAny>,
    is_file: bool,
) -> Result<(), Failure> {
    for item in result.try_iter()? {
        let item = item?;
        let item = bytes(&item)?;
        if item.as_bytes().is_empty() {
            continue;
        }
        let mut live = slot.claim(py);
        begun(live.phase())?;
        let mut item = item.as_bytes();
        if let (true, Some(missing)) = (is_file, live.missing()) {
            item = &item[..item.len().min(usize::try_from(missing).unwrap_or(usize::MAX))];
        }
        send_item(py, &mut live, item, false)?;
        if live.is_bodiless() {
            return Ok(());
        }
        if is_file && live.missing() == Some(0) {
            break;
        }
    }
    let mut live = slot.claim(py);
    begun(live.phase())?;
    live.send_end()?;
    Ok(())
}

fn send_file(py: Python<'_>, slot: &Slot, region: Region) -> Result<(), Failure> {
    let mut live = slot.claim(py);
    begun(live.phase())?;
    let Region { file, offset, length } = region;
    let length = live.missing().map_or(length, |missing| missing.min(length));
    let _ = py.detach(|| live.send_file(file, offset, length))?;
    Ok(())
}

fn begun(phase: Phase) -> Result<(), Failure> {
    match phase {
        Phase::Silent => Err(Failure::NoResponse),
        Phase::Begun | Phase::Open => Ok(()),
    }
}

fn bytes<'a, 'py>(item: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    item.cast::<PyBytes>().map_err(|_| type_error("an item of the response", "bytes", item))
}
