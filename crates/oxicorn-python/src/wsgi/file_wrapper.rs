//! `wsgi.file_wrapper`: marks a file as a response, so that the kernel may send it.
//!
//! It is a plain iterator over blocks wherever an application or a middleware takes it for one.
//! Returned as it is, around a file whose bytes are those of its descriptor, it becomes `sendfile`.

use std::fs::File;

use pyo3::exceptions::PyAttributeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::ffi;

/// `wsgi.file_wrapper(filelike, block_size=8192)`
#[pyclass(frozen, module = "oxicorn._oxicorn", name = "FileWrapper")]
#[derive(Debug)]
pub(crate) struct FileWrapper {
    /// The file.
    #[pyo3(get)]
    filelike: Py<PyAny>,
    /// Bytes of one block.
    #[pyo3(get, name = "blksize")]
    block_size: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size=8192))]
    fn new(filelike: Py<PyAny>, block_size: usize) -> Self {
        Self { filelike, block_size }
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.filelike.bind(py).call_method1("read", (self.block_size,))?;
        Ok(if block.is_truthy()? { Some(block) } else { None })
    }

    /// Closes the file, if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let close = match self.filelike.bind(py).getattr("close") {
            Err(error) if error.is_instance_of::<PyAttributeError>(py) => return Ok(()),
            close => close?,
        };
        close.call0().map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.filelike)
    }
}

/// The part of a file that is the response.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) file: File,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The types whose `read` gives the bytes of their descriptor and nothing else.
///
/// A subclass may read differently, and many objects lend the descriptor of something else
/// (`gzip` that of the compressed file), so only these exact types count.
#[derive(Debug)]
pub(super) struct PlainFiles {
    buffered: [Py<PyType>; 2],
    raw: Py<PyType>,
}

impl PlainFiles {
    pub(super) fn new(py: Python<'_>) -> PyResult<Self> {
        let io = py.import("io")?;
        let kind = |name: &str| -> PyResult<Py<PyType>> {
            Ok(io.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        Ok(Self {
            buffered: [kind("BufferedReader")?, kind("BufferedRandom")?],
            raw: kind("FileIO")?,
        })
    }

    /// What to send for `wrapper`; `None` when it must be read block by block.
    pub(super) fn region(&self, py: Python<'_>, wrapper: &FileWrapper) -> Option<Region> {
        // Whatever goes wrong here will go wrong again, and be reported, when the file is read.
        self.try_region(wrapper.filelike.bind(py)).ok().flatten()
    }

    fn try_region(&self, filelike: &Bound<'_, PyAny>) -> PyResult<Option<Region>> {
        let py = filelike.py();
        let is_raw = |object: &Bound<'_, PyAny>| object.get_type().is(self.raw.bind(py));
        let is_buffered = self.buffered.iter().any(|kind| filelike.get_type().is(kind.bind(py)));
        let is_plain = is_raw(filelike) || (is_buffered && is_raw(&filelike.getattr("raw")?));
        if !is_plain {
            return Ok(None);
        }
        let fd: i32 = filelike.call_method0("fileno")?.extract()?;
        let offset: u64 = filelike.call_method0("tell")?.extract()?;
        let file = File::from(ffi::duplicate(fd)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let length = metadata.len().saturating_sub(offset);
        Ok(Some(Region { file, offset, length }))
    }
}
