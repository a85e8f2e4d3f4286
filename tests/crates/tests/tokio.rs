//! Tests a crate with the name of a runtime: this file is a crate named `tokio`, and its functions belong to the
//! program.

use std::sync::Arc;

use ::tokio::sync::Mutex;
use tasktrace_crates::waits_for;

async fn transfer(mutex: Arc<Mutex<u32>>) {
    let _guard = mutex.lock().await;
    store(&mutex).await;
}

async fn store(mutex: &Mutex<u32>) {
    ::tokio::select! {
        _ = mutex.lock() => {}
        _ = std::future::pending::<()>() => {}
    }
}

#[tasktrace::traced]
async fn hangs() {
    transfer(Arc::new(Mutex::new(0))).await;
}

#[test]
fn functions_of_a_crate_named_tokio_are_shown() {
    let trace = waits_for(hangs, &["tokio::sync::Mutex::lock"]);
    for function in ["tokio::hangs", "tokio::transfer", "tokio::store"] {
        assert!(trace.contains(function), "{function}:\n{trace}\n{trace:#}");
    }
    assert_eq!(trace.frames().len(), 1, "\n{trace}\n{trace:#}");
}
