//! Reads the clocks of the system. On a system without clocks, time stands still.

use std::time::SystemTime;

/// A moment by the monotonic clock.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use std::time::Instant;

/// A moment on a system without a clock, where `std::time::Instant::now` panics. The current moment never changes.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(crate) use no_clock::Instant;

/// Returns the time of day, or the start of 1970 on a system without clocks.
pub(crate) fn wall_clock() -> SystemTime {
    match cfg!(all(target_family = "wasm", target_os = "unknown")) {
        true => SystemTime::UNIX_EPOCH,
        false => SystemTime::now(),
    }
}

/// Replaces the monotonic clock by one that stands still.
#[cfg(any(test, all(target_family = "wasm", target_os = "unknown")))]
#[cfg_attr(
    any(not(target_family = "wasm"), not(target_os = "unknown")),
    allow(dead_code, reason = "it is tested everywhere")
)]
mod no_clock {
    use std::ops::{Add, Sub};
    use std::time::Duration;

    /// A moment, as the time since the clock was read, which is always the same moment.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(Duration);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(Duration::ZERO)
        }

        pub(crate) fn elapsed(self) -> Duration {
            Self::now().saturating_duration_since(self)
        }

        pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
            self.0.saturating_sub(earlier.0)
        }

        pub(crate) fn checked_add(self, time: Duration) -> Option<Self> {
            self.0.checked_add(time).map(Self)
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;

        fn add(self, time: Duration) -> Self {
            Self(self.0.saturating_add(time))
        }
    }

    impl Sub<Duration> for Instant {
        type Output = Self;

        fn sub(self, time: Duration) -> Self {
            Self(self.0.saturating_sub(time))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn time_stands_still_and_deadlines_are_later() {
            let second = Duration::from_secs(1);
            let now = Instant::now();
            assert_eq!(now.elapsed(), Duration::ZERO);
            let deadline = now + second;
            assert!(deadline > Instant::now());
            assert_eq!(deadline.saturating_duration_since(now), second);
            assert_eq!(now.saturating_duration_since(deadline), Duration::ZERO);
            assert_eq!(deadline - second, now);
            assert_eq!(now.checked_add(second), Some(deadline));
            assert_eq!(deadline.checked_add(Duration::MAX), None);
        }
    }
}
