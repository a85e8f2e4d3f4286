//! Decides which tasks have a problem, and how certain that is. No other module decides it.
//!
//! Text, JSON, the page, the command line, the watchdog and the report of a hung test all say what is
//! found here. Plain data in (a dump), plain data out.
//!
//! * [`urgency`]: the problem of each task of a dump, and the order of tasks.
//! * [`point`]: the places where a task waits; [`rank`]: which of them is the likeliest culprit.
//! * [`cause`]: why a test does not end.
//!
//! Proven problems come first: a thread that is blocked, a future that is held and not polled, tasks
//! that await each other, an executor that does not poll. Then what is likely: several tasks that wait
//! for locks while none goes on. Then waits, by their rank. To be idle is no fault.
#![forbid(unsafe_code)]

mod cause;
mod point;
mod rank;
mod urgency;

pub(crate) use cause::{Blocked, Cause, Sure, Waiting, of_hang};
pub(crate) use point::{Point, likeliest};
pub(crate) use rank::Rank;
use urgency::LONG_FOR_A_POLL;
#[cfg(feature = "http")]
pub(crate) use urgency::order_of_leaves;
pub(crate) use urgency::{Finding, Standing, Urgency, findings, of_dump};
