//! Finds out which threads compute and which are blocked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::os;
use crate::os::activity::{self, Activity};
use crate::os::time::Instant;

/// The number of threads that are read a second time even if no time is left.
const ALWAYS_READ: usize = 64;

/// Finds out which threads compute and which are blocked, in about the time `longest`.
///
/// Returns `true` for a thread that computes, and `false` for a thread that is blocked. The calling thread is left out,
/// and so are the threads for which no time was left.
pub(super) fn measure_activity(
    threads: impl Iterator<Item = u64>,
    longest: Duration,
) -> BTreeMap<u64, bool> {
    let own = os::thread::id();
    let window = activity::WINDOW.min(longest / 4);
    if window < activity::SHORTEST_WINDOW {
        return BTreeMap::new();
    }
    // Reading the activity of a thread takes microseconds, and there may be thousands. Each is read at least
    // twice.
    let (half, end) = (os::deadline(longest / 2), os::deadline(longest));
    let before: Vec<_> = threads
        .take_while(|_| Instant::now() < half)
        .filter(|thread| Some(*thread) != own)
        .filter_map(|thread| Some((thread, Activity::of(thread)?)))
        .collect();
    if before.is_empty() {
        return BTreeMap::new();
    }
    let mut computing = BTreeMap::new();
    let mut undecided = before;
    for window_number in 1..=activity::MOST_WINDOWS {
        std::thread::sleep(window);
        let is_last = window_number == activity::MOST_WINDOWS || Instant::now() + window >= end;
        let mut still_undecided = Vec::new();
        for (at, (thread, before)) in undecided.into_iter().enumerate() {
            // The time may be over by now if this thread got no processor. A few threads are read all the same, which
            // takes next to no time.
            if at >= ALWAYS_READ && Instant::now() >= end {
                break;
            }
            let Some(now) = Activity::of(thread) else {
                continue;
            };
            match now.computes_since(before) {
                Some(computes) => {
                    computing.insert(thread, computes);
                }
                None if is_last => {
                    // It could have run whenever it was looked at. A thread that waits would have been seen to wait.
                    computing.insert(thread, true);
                }
                None => still_undecided.push((thread, now)),
            }
        }
        undecided = still_undecided;
        if undecided.is_empty() {
            break;
        }
    }
    computing
}

#[cfg(all(test, target_os = "linux", not(tasktrace_loom)))]
mod tests {
    use super::*;

    /// Returns the number of threads whose activity is read, given very many threads that all exist.
    fn count_of_threads_read(longest: Duration) -> usize {
        let main = u64::from(std::process::id());
        let mut read = 0;
        let threads = std::iter::repeat_n(main, 10_000_000);
        measure_activity(threads.inspect(|_| read += 1), longest);
        read
    }

    #[test]
    fn activity_of_threads_is_read_until_the_time_is_over() {
        assert_eq!(
            count_of_threads_read(Duration::ZERO),
            1,
            "the first is counted before it is refused"
        );
        assert!(count_of_threads_read(Duration::from_millis(1)) < 10_000_000);
    }
}
