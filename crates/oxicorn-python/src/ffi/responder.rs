//! The Python object behind `start_response`, `write`, `wsgi.early_hints` and
//! `oxicorn.client_disconnected`.
//!
//! Built by hand because it is called once in every request: a class of PyO3 with `__call__` packs
//! the arguments into a tuple first. It holds no Python object, so it takes no part in garbage
//! collection; what it does when it is called is in [`crate::wsgi::start`].

use std::ffi::{c_int, c_void};
use std::mem::{offset_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use oxicorn_worker::error_log::CRITICAL;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString, PyTuple, PyType};

use crate::wsgi::transaction::Slot;
use crate::wsgi::{Foreign, start};

/// The object's memory as CPython sees it.
#[repr(C)]
struct Object {
    header: ffi::PyObject,
    vectorcall: ffi::vectorcallfunc,
    slot: Slot,
}

/// A reference to one such object.
#[derive(Debug)]
pub(crate) struct Responder(Py<PyAny>);

impl Responder {
    /// Makes an object of `kind`, which [`responder_type`] made.
    pub(crate) fn new(kind: &Bound<'_, PyType>, foreign: Option<Arc<Foreign>>) -> PyResult<Self> {
        // SAFETY: `kind` is a ready type without items, made by `responder_type`.
        let object = unsafe { ffi::PyType_GenericAlloc(kind.as_type_ptr(), 0) };
        // SAFETY: `object` is null with an exception set, or a new reference that is ours to own.
        let owned = unsafe { Bound::from_owned_ptr_or_err(kind.py(), object) }?;
        let object = object.cast::<Object>();
        // SAFETY: the type's size is that of `Object`, so the field is inside the allocation.
        let vectorcall = unsafe { &raw mut (*object).vectorcall };
        // SAFETY: in bounds, aligned as the allocation is, and nothing there to drop.
        unsafe { vectorcall.write(called) };
        // SAFETY: the type's size is that of `Object`, so the field is inside the allocation.
        let slot = unsafe { &raw mut (*object).slot };
        // SAFETY: in bounds, aligned as the allocation is, and nothing there to drop.
        unsafe { slot.write(Slot::new(foreign)) };
        Ok(Self(owned.unbind()))
    }

    /// The state of the request that the object belongs to.
    pub(crate) fn slot(&self) -> &Slot {
        let object = self.0.as_ptr().cast::<Object>();
        // SAFETY: only `new` makes a `Responder`, around an `Object` that `self` keeps alive.
        unsafe { &(*object).slot }
    }

    /// The object as any Python object.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }

    /// Another reference to the same object.
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    /// Whether nobody else holds the object, so that it can serve another request.
    pub(crate) fn is_unshared(&self, py: Python<'_>) -> bool {
        super::is_unshared(self.0.bind(py))
    }
}

/// Makes the type of the objects.
pub(crate) fn responder_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let doc = c"start_response(status, headers, exc_info=None, /), which returns itself as write(data);\nas wsgi.early_hints it takes a list of fields;\nas oxicorn.client_disconnected it takes nothing.";
    let mut members = [
        ffi::PyMemberDef {
            name: c"__vectorcalloffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset_of!(Object, vectorcall).cast_signed(),
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        },
        ffi::PyMemberDef { name: ptr::null(), type_code: 0, offset: 0, flags: 0, doc: ptr::null() },
    ];
    let mut slots = [
        type_slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
        type_slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        type_slot(ffi::Py_tp_dealloc, dealloc as ffi::destructor as *mut c_void),
        type_slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as ffi::ternaryfunc as *mut c_void),
        type_slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_IMMUTABLETYPE
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"oxicorn._oxicorn.StartResponse".as_ptr(),
        basicsize: size_of::<Object>() as c_int,
        itemsize: 0,
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the thread is attached (`py`); `spec`, its slots and members live through the call,
    // which copies them, and end with an empty entry; name and doc are static.
    let kind = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    // SAFETY: `kind` is null with an exception set, or a new reference that is ours to own.
    let kind = unsafe { Bound::from_owned_ptr_or_err(py, kind) }?;
    Ok(kind.cast_into()?)
}

fn type_slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

/// `tp_dealloc`: ends the state, then the memory, then the reference that each object of a type
/// made at run time holds to its type.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls it with an object of the type; only `Responder::new` makes those.
    let slot = unsafe { &raw mut (*object.cast::<Object>()).slot };
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the field was written by `new`, and nobody refers to it any more.
        unsafe { ptr::drop_in_place(slot) }
    }));
    if dropped.is_err() {
        log::error!(target: CRITICAL, "a panic while a response was dropped; please report");
    }
    // SAFETY: the object's header is intact until `PyObject_Free`.
    let kind = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: `PyType_GenericAlloc` took the memory from this allocator, as the type has no GC.
    unsafe { ffi::PyObject_Free(object.cast()) };
    // SAFETY: the reference was taken by `PyType_GenericAlloc`.
    unsafe { ffi::Py_DECREF(kind.cast()) };
}

/// What the object returns to its caller.
pub(crate) enum Returned {
    /// Itself, as the `write` callable.
    Itself,
    /// `None`.
    Nothing,
    /// Yes or no.
    Answer(bool),
}

/// The arguments of one call by place: status, headers, exc_info.
pub(crate) struct Arguments<'py> {
    /// The values given, by position or by name.
    pub(crate) values: [Option<Bound<'py, PyAny>>; 3],
    /// How many were given.
    pub(crate) count: usize,
}

impl<'py> Arguments<'py> {
    fn place(&mut self, index: usize, value: Bound<'py, PyAny>) -> PyResult<()> {
        let Some(place) = self.values.get_mut(index) else {
            return Err(PyTypeError::new_err("start_response takes at most three arguments"));
        };
        if place.replace(value).is_some() {
            return Err(PyTypeError::new_err("start_response got one argument twice"));
        }
        self.count += 1;
        Ok(())
    }
}

/// One argument of a vectorcall.
///
/// # Safety
///
/// `arguments` must have more than `index` entries, all of them live objects.
unsafe fn argument<'py>(
    py: Python<'py>,
    arguments: *const *mut ffi::PyObject,
    index: usize,
) -> Bound<'py, PyAny> {
    // SAFETY: the caller promises that the entry is there.
    let entry = unsafe { arguments.add(index) };
    // SAFETY: the caller promises that the entry is there.
    let value = unsafe { entry.read() };
    // SAFETY: the caller promises a live object; this takes a reference of its own.
    unsafe { Bound::from_borrowed_ptr(py, value) }
}

/// `vectorcall`: the arguments as pointers become an [`Arguments`].
unsafe extern "C" fn called(
    object: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with the thread attached, and it stays so until this returns.
    let py = unsafe { Python::assume_attached() };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: only masks a bit off.
        let positional = unsafe { ffi::PyVectorcall_NARGS(count) }.cast_unsigned();
        let mut given = Arguments { values: [None, None, None], count: 0 };
        for index in 0..positional {
            // SAFETY: `arguments` has at least `positional` entries.
            given.place(index, unsafe { argument(py, arguments, index) })?;
        }
        // SAFETY: null, or a live tuple of names, borrowed for the call.
        if let Some(names) = unsafe { Bound::from_borrowed_ptr_or_opt(py, keywords) } {
            for (nth, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                let place = keyword(name.cast::<PyString>()?.to_str()?)?;
                // SAFETY: the values of keywords follow the positional ones, one per name.
                given.place(place, unsafe { argument(py, arguments, positional + nth) })?;
            }
        }
        // SAFETY: CPython calls it with an object of the type; only `new` makes those, and
        // the caller holds a reference for the call.
        let slot = unsafe { &(*object.cast::<Object>()).slot };
        start::called(py, slot, &given)
    }));
    let outcome = outcome.unwrap_or_else(|_| {
        Err(PyRuntimeError::new_err("a panic in start_response; please report"))
    });
    match outcome {
        Ok(Returned::Itself) => {
            // SAFETY: a live object, as the caller holds a reference for the call.
            unsafe { ffi::Py_NewRef(object) }
        }
        Ok(Returned::Nothing) => py.None().into_ptr(),
        Ok(Returned::Answer(yes)) => PyBool::new(py, yes).to_owned().into_any().into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}

fn keyword(name: &str) -> PyResult<usize> {
    match name {
        "status" => Ok(0),
        "headers" | "response_headers" => Ok(1),
        "exc_info" => Ok(2),
        _ => Err(PyTypeError::new_err(format!(
            "start_response got an unexpected keyword argument '{name}'"
        ))),
    }
}
