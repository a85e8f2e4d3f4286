//! Describes a process for lists of processes.

use std::fmt;
use std::time::Duration;

use super::value::{Object, Value};
use crate::dump::Dump;

/// The format of a [`Process`].
const PROCESS: &str = "tasktrace.process/1";

/// The description of this process.
pub(crate) struct Process<'a> {
    /// The name of the program.
    pub(crate) program: &'a str,
    pub(crate) pid: u32,
    /// The age of the process, if it is known.
    pub(crate) age: Option<Duration>,
    /// The tasks of the process. Only their numbers are shown.
    pub(crate) dump: &'a Dump,
}

impl<'a> From<&'a Process<'a>> for Value<'a> {
    fn from(process: &'a Process<'a>) -> Self {
        object!("Process", {
            "schema": PROCESS,
            "name": process.program,
            "pid": process.pid,
            "age_ns": process.age,
            "tasks": process.dump.len(),
            "untraced": process.dump.untraced_total(),
        })
    }
}

impl fmt::Display for Process<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::from(self).fmt(f)
    }
}
