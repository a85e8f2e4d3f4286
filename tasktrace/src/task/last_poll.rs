//! Packs the number and the start of a last poll into one word, with a bit that says whether the poll is still running.
//!
//! The poller of a task stores this word at the start and at the end of each poll, and any thread may load it. Because
//! it is one word, the fields that a reader sees belong to the same poll. A frame has a copy of the word, as it was
//! when the frame was polled.

use super::clock::CoarseInstant;

/// The last poll of a task: its number, when it started, and whether it is still running.
///
/// From the highest bit to the lowest:
///
/// * 32 bits: the [`CoarseInstant`] at which the poll started;
/// * 31 bits: the number of the poll, modulo 2³¹, which distinguishes polls that are less than two billion apart;
/// * 1 bit: set while the poll is running.
///
/// With this layout one instruction, which clears the lowest bit, ends a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastPoll(u64);

const RUNNING: u64 = 1;
/// The difference between two successive polls in the lower half of the word.
const NEXT: u32 = 2;
/// The position of the instant.
const INSTANT: u32 = 32;

impl LastPoll {
    /// Returns a poll that has ended.
    pub(crate) const fn new(poll: u32, began_at: CoarseInstant) -> Self {
        Self((began_at.0 as u64) << INSTANT | (poll << 1) as u64)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the next poll, which is running, and `true` if its number wrapped around to 0.
    #[inline]
    pub(super) fn next(self, now: CoarseInstant) -> (Self, bool) {
        // This poll has ended, so its lowest bit is clear: one addition changes the number and sets the bit.
        let (next, has_wrapped) = (self.0 as u32).overflowing_add(NEXT | RUNNING as u32);
        (
            Self(u64::from(now.0) << INSTANT | u64::from(next)),
            has_wrapped,
        )
    }

    /// Returns the same poll after its end.
    #[inline]
    pub(super) fn ended(self) -> Self {
        Self(self.0 & !RUNNING)
    }

    #[inline]
    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }

    #[inline]
    pub(crate) fn began_at(self) -> CoarseInstant {
        CoarseInstant((self.0 >> INSTANT) as u32)
    }

    /// Returns the number of the poll, modulo 2³¹.
    #[inline]
    pub(crate) fn poll(self) -> u32 {
        self.0 as u32 >> 1
    }

    /// Returns the number of the last poll that has ended: this one, or the one before it while this one is running.
    #[inline]
    pub(crate) fn last_completed(self) -> u32 {
        self.poll().wrapping_sub(u32::from(self.is_running())) & u32::MAX >> 1
    }

    /// Returns `true` if this is a later poll than number `poll`.
    pub(crate) fn is_after(self, poll: u32) -> bool {
        distance(poll, self.poll()) > 0
    }

    /// Returns `true` if this is an earlier poll than number `poll`. The order is right for polls that are at most a
    /// billion numbers apart.
    pub(crate) fn is_before(self, poll: u32) -> bool {
        distance(poll, self.poll()) < 0
    }

    /// Returns the same poll, as if it had started when `other` did.
    pub(crate) fn at_time_of(self, other: Self) -> Self {
        Self(u64::from(other.began_at().0) << INSTANT | u64::from(self.0 as u32))
    }
}

/// Returns twice the number of polls from `from` to `to`, negative if `to` is the earlier one. The numbers wrap at 2³¹.
fn distance(from: u32, to: u32) -> i32 {
    (to << 1).wrapping_sub(from << 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: CoarseInstant = CoarseInstant(7);
    const LATER: CoarseInstant = CoarseInstant(u32::MAX);

    #[test]
    fn a_poll_keeps_its_number_from_start_to_end() {
        let unpolled = LastPoll::new(0, NOW);
        assert!(!unpolled.is_running());
        let (first, has_wrapped) = unpolled.next(LATER);
        assert_eq!((first.poll(), first.began_at()), (1, LATER));
        assert!(first.is_running() && !has_wrapped);
        assert_eq!(first.last_completed(), 0);
        let ended = first.ended();
        assert_eq!((ended.poll(), ended.began_at()), (1, LATER));
        assert!(!ended.is_running());
        assert_eq!(ended.last_completed(), 1);
        assert_eq!(ended.at_time_of(unpolled), LastPoll::new(1, NOW));
    }

    #[test]
    fn numbers_wrap_around_and_stay_ordered() {
        let last = LastPoll::new(u32::MAX >> 1, NOW);
        let (next, has_wrapped) = last.next(NOW);
        assert_eq!(next.poll(), 0);
        assert!(has_wrapped && next.is_running());
        assert_eq!(next.last_completed(), last.poll());
        assert!(next.is_after(last.poll()) && !next.is_before(last.poll()));
        assert!(last.is_before(next.poll()) && !last.is_after(next.poll()));
    }

    #[test]
    fn a_poll_is_neither_before_nor_after_itself() {
        let second = LastPoll::new(2, NOW);
        assert!(second.is_after(1) && !second.is_after(2) && !second.is_after(3));
        assert!(second.is_before(3) && !second.is_before(2) && !second.is_before(1));
    }
}
