//! Tests that requests and dumps keep their budgets, whatever wakers, executors and durations do.
//!
//! These tests dump every task of the process, so they are apart from the tests that count the polls of one task.

mod blocked;
mod embassy;
mod extremes;
