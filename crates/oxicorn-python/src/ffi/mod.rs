//! The calls into CPython that PyO3 has no safe name for, and the one type built by hand.
//!
//! Nothing else in this crate is `unsafe`. Each function here is safe to call: what the C function
//! asks for is either proved by an argument (`py`: this thread is attached) or checked inside.

mod responder;

use std::ffi::c_ulong;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::{io, ptr, slice};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyString, PyType};

pub(crate) use responder::{Arguments, Responder, Returned, responder_type};

/// Makes the `str` that WSGI wants: one code point per byte, whatever the client sent.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // A slice is never longer than `isize::MAX`, so the length always fits.
    let len = bytes.len().cast_signed();
    // SAFETY: the thread is attached (`py`); CPython only reads the `len` bytes behind the
    // pointer, during the call; a null `errors` is allowed, as Latin-1 decodes any byte.
    let text = unsafe { ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), len, ptr::null()) };
    // SAFETY: `text` is null with an exception set, or a new reference that is ours to own.
    let text = unsafe { Bound::from_owned_ptr_or_err(py, text) }?;
    // SAFETY: the function above returns nothing but an exact `str`.
    Ok(unsafe { text.cast_into_unchecked() })
}

/// The bytes of a `str` in Latin-1; `None` when a code point does not fit into one byte.
#[inline]
pub(crate) fn latin1_bytes<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: `text` is a `str`, which knows its kind; an old one that is not ready says 0.
    if unsafe { ffi::PyUnicode_KIND(object) } != ffi::PyUnicode_1BYTE_KIND {
        return other_latin1_bytes(text);
    }
    // SAFETY: a `str` that is ready, which its kind proves.
    let data = unsafe { ffi::PyUnicode_1BYTE_DATA(object) };
    // SAFETY: as above.
    let len = unsafe { ffi::PyUnicode_GET_LENGTH(object) }.cast_unsigned();
    // SAFETY: a `str` of this kind has `len` bytes there, and never changes while `text`, which
    // lives for `'a`, keeps it alive.
    Some(unsafe { slice::from_raw_parts(data, len) })
}

/// The rare rest: wide strings, and those that old extensions made and nobody looked at yet.
#[cold]
fn other_latin1_bytes<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a [u8]> {
    // SAFETY: a `str` never changes once it exists, and `text` keeps it alive for `'a`.
    match unsafe { text.data() } {
        Ok(PyStringData::Ucs1(bytes)) => Some(bytes),
        Ok(_) | Err(_) => None,
    }
}

/// Calls `callable` with two positional arguments.
pub(crate) fn call2<'py>(
    callable: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // The empty place in front is what PY_VECTORCALL_ARGUMENTS_OFFSET promises: a bound method
    // puts its `self` there and needs no copy of the arguments.
    let mut places = [ptr::null_mut(), first.as_ptr(), second.as_ptr()];
    let arguments = places[1..].as_mut_ptr();
    let count = 2 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    // SAFETY: the thread is attached (`callable` has its token); the two objects are borrowed for
    // the call and alive in the caller; the place before `arguments` is ours and writable.
    let result = unsafe {
        ffi::PyObject_Vectorcall(callable.as_ptr(), arguments.cast_const(), count, ptr::null_mut())
    };
    // SAFETY: `result` is null with an exception set, or a new reference that is ours to own.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }
}

/// Runs `wait` with the interpreter released; the calling thread must be attached.
///
/// Unlike [`Python::detach`] it takes closures that borrow what is not `Send`, so `wait` must not
/// touch Python objects; the worker, which knows no Python, has none.
pub(crate) fn released(_py: Python<'_>, wait: &mut dyn FnMut()) {
    struct Restore(*mut ffi::PyThreadState);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the state is the one that this thread saved and has not restored since.
            unsafe { ffi::PyEval_RestoreThread(self.0) }
        }
    }
    // SAFETY: the thread is attached (`_py`), so it has a state to save.
    let _restore = Restore(unsafe { ffi::PyEval_SaveThread() });
    wait();
}

/// Whether nobody else holds the object.
pub(crate) fn is_unshared(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: `object` keeps it alive, and has the token of an attached thread.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

/// The calling thread, as `threading.get_ident()` names it.
pub(crate) fn thread_ident(_py: Python<'_>) -> c_ulong {
    // SAFETY: it asks for nothing.
    unsafe { ffi::PyThread_get_thread_ident() }
}

/// Has an exception raised in a thread at its next step in Python, or takes back one that was not
/// raised yet. A thread that is gone is left alone.
pub(crate) fn set_async_exception(
    _py: Python<'_>,
    thread: c_ulong,
    exception: Option<&Bound<'_, PyType>>,
) {
    let exception = exception.map_or(ptr::null_mut(), |exception| exception.as_ptr());
    // SAFETY: the thread is attached (`_py`); `exception` is null or a live class, of which CPython
    // takes a reference of its own; a thread is looked up by the number, which need not exist.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread.cast_signed(), exception) };
}

/// Duplicates a descriptor that Python code named; an error when it is not open.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: it is not -1 (checked above) and used for one `fcntl(F_DUPFD_CLOEXEC)` only, which
    // fails with EBADF on a number that is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}
