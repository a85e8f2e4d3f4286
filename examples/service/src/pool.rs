//! Provides a pool of connections to an imaginary database.

use std::sync::Arc;
use std::time::Duration;

use tasktrace::traced;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

const CONNECTIONS: usize = 4;

/// A pool that lends each connection to one user at a time.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Semaphore>);

/// A connection, which returns to the pool when it is dropped.
pub(crate) struct Connection(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Pool {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS)))
    }

    #[traced]
    pub(crate) async fn connection(&self) -> Connection {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        Connection(permit.expect("nobody closes the pool"))
    }
}

impl Connection {
    #[traced("{statement}")]
    pub(crate) async fn query(&self, statement: &str) {
        let rows = u64::try_from(statement.len()).unwrap_or(0);
        sleep(Duration::from_millis(rows)).await;
    }
}
