//! Words nothing: without the feature `inspect`, nothing is read from memory.

use std::fmt;

use super::line_writer::LineWriter;
use crate::dump::{Dump, Hang, StallReport};
use crate::inspect::Inspection;
use crate::task::TaskId;

pub(super) fn cause(hang: &Hang) -> Option<String> {
    match *hang.dump.inspected()? {}
}

pub(super) fn awaited(inspection: &Inspection, _task: TaskId) -> Option<String> {
    match *inspection {}
}

pub(super) fn causes_of_stall(_report: &StallReport) -> Vec<String> {
    Vec::new()
}

pub(super) fn write(_out: &mut LineWriter<'_, '_>, dump: &Dump) -> fmt::Result {
    match dump.inspected() {
        Some(inspection) => match *inspection {},
        None => Ok(()),
    }
}
