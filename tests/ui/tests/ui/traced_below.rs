//! Tests the attribute below attributes whose expansions have no future that can be traced.

use tasktrace::traced;

mod actor {
    pub fn enter<F>(_: impl FnOnce() -> F) {}

    pub fn spawn<F>(_: F) {}

    pub fn block_on<F>(_: F) {}
}

#[traced]
fn runs_elsewhere() {
    actor::spawn(async move {});
}

#[traced]
fn runs_later() {
    actor::enter(|| async move {})
}

#[traced]
fn runs_two() {
    actor::block_on(async {});
    actor::block_on(async {});
}

#[traced]
#[derive(Default)]
pub struct MockStore {
    calls: u32,
}

// All functions still exist.
fn uses_all() {
    runs_elsewhere();
    runs_later();
    runs_two();
    MockStore::default().calls;
}

fn main() {}
