//! When something was last polled, and whether it still is, in one word.
//!
//! A task has a word that its poller stores at both ends of each poll, and that anyone may load:
//! so what is seen in it belongs together. Frames have what that word was when they were polled.

use super::clock::Tick;

/// Which poll of a task, and when it began.
///
/// From the highest bit on: 32 bits of the time; 31 of the number of the poll, which tell polls apart that
/// are not two billions apart; one that is set while the poll goes on. In this order, a poll ends with an
/// instruction that clears a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

const RUNNING: u64 = 1;
/// In the lower half.
const NEXT: u32 = 2;
const TICK: u32 = 32;

impl Stamp {
    /// Of a poll that has ended.
    pub(crate) const fn new(poll: u32, tick: Tick) -> Self {
        Self((tick.0 as u64) << TICK | (poll << 1) as u64)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Of the next poll, which goes on. And whether the numbers begin again with it.
    #[inline]
    pub(super) fn next(self, now: Tick) -> (Self, bool) {
        // In one step, as the last poll has ended.
        let (next, begin_again) = (self.0 as u32).overflowing_add(NEXT | RUNNING as u32);
        (
            Self(u64::from(now.0) << TICK | u64::from(next)),
            begin_again,
        )
    }

    /// Of the same poll, which has ended.
    #[inline]
    pub(super) fn ended(self) -> Self {
        Self(self.0 & !RUNNING)
    }

    #[inline]
    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }

    #[inline]
    pub(crate) fn tick(self) -> Tick {
        Tick((self.0 >> TICK) as u32)
    }

    /// Which poll it is of, as far as the number goes.
    #[inline]
    pub(crate) fn poll(self) -> u32 {
        self.0 as u32 >> 1
    }

    /// The last poll that has ended.
    #[inline]
    pub(crate) fn settled(self) -> u32 {
        self.poll().wrapping_sub(u32::from(self.is_running())) & u32::MAX >> 1
    }

    /// Whether it is of a later poll than this one.
    pub(crate) fn is_after(self, poll: u32) -> bool {
        distance(poll, self.poll()) > 0
    }

    /// Whether it is of an earlier poll than this one.
    pub(crate) fn is_before(self, poll: u32) -> bool {
        // A poll that is not earlier is this one, or one of the next billion.
        distance(poll, self.poll()) < 0
    }

    /// The same poll at the time of the other.
    pub(crate) fn at_time_of(self, other: Self) -> Self {
        Self(u64::from(other.tick().0) << TICK | u64::from(self.0 as u32))
    }
}

/// How far the second is after the first, in a circle of 31 bits.
fn distance(one: u32, other: u32) -> i32 {
    (other << 1).wrapping_sub(one << 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick(7);
    const LATER: Tick = Tick(u32::MAX);

    #[test]
    fn a_poll_begins_and_ends() {
        let made = Stamp::new(0, NOW);
        assert!(!made.is_running());
        let (first, begin_again) = made.next(LATER);
        assert_eq!((first.poll(), first.tick()), (1, LATER));
        assert!(first.is_running() && !begin_again);
        assert_eq!(first.settled(), 0);
        let ended = first.ended();
        assert_eq!((ended.poll(), ended.tick()), (1, LATER));
        assert!(!ended.is_running());
        assert_eq!(ended.settled(), 1);
        assert_eq!(ended.at_time_of(made), Stamp::new(1, NOW));
    }

    #[test]
    fn numbers_begin_again() {
        let last = Stamp::new(u32::MAX >> 1, NOW);
        let (next, begin_again) = last.next(NOW);
        assert_eq!(next.poll(), 0);
        assert!(begin_again && next.is_running());
        assert_eq!(next.settled(), last.poll());
        assert!(next.is_after(last.poll()) && !next.is_before(last.poll()));
        assert!(last.is_before(next.poll()) && !last.is_after(next.poll()));
    }

    #[test]
    fn order() {
        let second = Stamp::new(2, NOW);
        assert!(second.is_after(1) && !second.is_after(2) && !second.is_after(3));
        assert!(second.is_before(3) && !second.is_before(2) && !second.is_before(1));
    }
}
