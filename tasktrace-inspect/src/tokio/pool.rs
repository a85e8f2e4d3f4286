//! The threads of a runtime for blocking work.

use crate::decode::Pool;
use crate::value::{Reader, Value};

/// Reads the pool of a runtime, and returns it with the value that its queue is in. `shared` is what the threads of the
/// runtime share.
pub(super) fn pool(reader: &Reader<'_, '_>, shared: Value) -> Option<(Pool, Value)> {
    let inner = reader.follow_arc(reader.find(shared, "blocking_spawner")?)?;
    let number = |of, name| reader.number(reader.find(of, name)?);
    // The threads that poll tasks are started by the pool, too.
    let workers = reader.find(shared, "remotes");
    let workers = workers.and_then(|workers| number(workers, "length"));
    let blocking = |threads: u64| threads.saturating_sub(workers.unwrap_or_default());
    let pool = Pool {
        threads: blocking(number(inner, "num_threads")?),
        most: blocking(number(inner, "thread_cap")?),
        idle: number(inner, "num_idle_threads")?,
    };
    Some((pool, inner))
}
