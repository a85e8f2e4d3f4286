//! Decides which tasks of a dump have a problem, and with what certainty. Only this module does so.
//!
//! Text, JSON, the page, the command line, the watchdog and the report of a hung test all show the results of this
//! module. It turns plain data (a dump) into plain data.
//!
//! * [`severity`]: the problem of each task of a dump, and the order of tasks.
//! * [`wait_point`]: the places where a task waits; [`rank`]: which of them is the likeliest culprit.
//! * [`cause`]: why a test does not end.
//!
//! Proven problems come first: a blocked thread, a future that is held and not polled, tasks that await each other, an
//! executor that does not poll. Then come likely problems: several tasks that wait for locks while none of them makes
//! progress. Then come waits, ordered by their rank. An idle task is not a problem.
#![forbid(unsafe_code)]

mod cause;
mod rank;
mod severity;
mod wait_point;

pub(crate) use cause::{BlockedThread, Cause, Certainty, WaitingFunction, find_cause};
pub(crate) use rank::WaitRank;
use severity::LONG_POLL;
#[cfg(feature = "http")]
pub(crate) use severity::ordered_leaves;
pub(crate) use severity::{Finding, Severity, Status, findings, statuses};
pub(crate) use wait_point::{WaitPoint, likeliest, without_type};
