//! Tests the reports of tests that hang and whose tasks are not traced.
//!
//! * [`hung`] has the tests that hang. They do so only in a child process that sets an environment variable, and pass
//!   at once otherwise.
//! * [`verdicts`] starts such processes and checks their output.

mod hung;
mod verdicts;
