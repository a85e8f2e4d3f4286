//! Words nothing: without the feature `inspect`, nothing is read from memory.

use std::fmt;

use super::line_writer::LineWriter;
use crate::dump::{Dump, Hang};
use crate::task::TaskId;

pub(super) fn cause(hang: &Hang) -> Option<String> {
    match *hang.dump.inspected()? {}
}

pub(super) fn awaited(dump: &Dump, _task: TaskId) -> Option<String> {
    match *dump.inspected()? {}
}

pub(super) fn write(_out: &mut LineWriter<'_, '_>, dump: &Dump) -> fmt::Result {
    match dump.inspected() {
        Some(inspection) => match *inspection {},
        None => Ok(()),
    }
}
