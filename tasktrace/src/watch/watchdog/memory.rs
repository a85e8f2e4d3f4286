//! Reads tasks from memory, once for all reports of a scan (feature `inspect`).

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use crate::inspect::{self, Inspection};
use crate::os;
use crate::task::tasks;

/// The time that the reading may take. Meanwhile the watchdog does not scan.
const BUDGET: Duration = Duration::from_millis(500);

/// The tasks in memory, which are read when the first report needs them.
#[derive(Default)]
pub(super) struct MemoryReading(OnceCell<Option<Arc<Inspection>>>);

impl MemoryReading {
    pub(super) fn read(&self) -> Option<Arc<Inspection>> {
        let read = || inspect::read(tasks(), os::deadline(BUDGET)).map(Arc::new);
        self.0.get_or_init(read).clone()
    }
}
