//! The scoreboard of a server as Python sees it, also that of another one: for `oxicorn show-workers`.

use oxicorn_os::scoreboard::{Count, Figures, Phase, Reading, Snapshot, monotonic_ms};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// The scoreboard of a running server, by the process id of its master or of one of its workers.
///
/// Raises `OSError` when there is no such server, or it may not be looked into.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Scoreboard {
    reading: Reading,
}

#[pymethods]
impl Scoreboard {
    #[new]
    fn new(pid: u32) -> PyResult<Self> {
        Ok(Self { reading: Reading::of_process(pid)? })
    }

    /// What can be seen now: `workers` is a list, and `totals` has what all of them did, also those
    /// that are gone.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let workers: PyResult<Vec<_>> =
            self.reading.workers().iter().map(|seen| worker(py, seen)).collect();
        let board = PyDict::new(py);
        board.set_item("workers", workers?)?;
        board.set_item("totals", figures(py, &self.reading.totals())?)?;
        Ok(board)
    }
}

fn worker<'py>(py: Python<'py>, seen: &Snapshot) -> PyResult<Bound<'py, PyDict>> {
    let now = monotonic_ms();
    let worker = PyDict::new(py);
    worker.set_item("pid", seen.pid)?;
    worker.set_item("state", seen.state.name())?;
    worker.set_item("generation", seen.generation)?;
    worker.set_item("silent_ms", now.saturating_sub(seen.heartbeat_ms))?;
    worker.set_item("busy", seen.busy)?;
    worker.set_item("waiting", seen.waiting)?;
    worker.set_item("connections", seen.connections)?;
    worker.update(figures(py, &seen.figures)?.as_mapping())?;
    let in_flight = PyList::empty(py);
    for request in &seen.in_flight {
        let row = PyDict::new(py);
        row.set_item("age_ms", now.saturating_sub(request.start_ms))?;
        // What a client chose must not move the cursor of a terminal.
        row.set_item("method", request.method.escape_ascii().to_string())?;
        row.set_item("path", request.path.escape_ascii().to_string())?;
        row.set_item("client", request.client.escape_ascii().to_string())?;
        row.set_item("request_id", request.id.escape_ascii().to_string())?;
        in_flight.append(row)?;
    }
    worker.set_item("in_flight", in_flight)?;
    Ok(worker)
}

fn figures<'py>(py: Python<'py>, figures: &Figures) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("requests", figures.count(Count::Requests))?;
    all.set_item("refused", figures.count(Count::Refused))?;
    all.set_item("abandoned", figures.count(Count::Abandoned))?;
    all.set_item("given", figures.count(Count::Given))?;
    all.set_item("taken", figures.count(Count::Taken))?;
    let phases = PyDict::new(py);
    for phase in Phase::ALL {
        let histogram = figures.phase(phase);
        let row = PyDict::new(py);
        row.set_item("total_ms", histogram.total_ms)?;
        row.set_item("buckets", histogram.counts)?;
        phases.set_item(phase.name(), row)?;
    }
    all.set_item("phases", phases)?;
    Ok(all)
}
