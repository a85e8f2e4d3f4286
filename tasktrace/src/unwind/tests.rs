use super::*;

/// Calls itself `depth` times, then walks up to `mark`.
#[inline(never)]
fn descend(depth: usize, mark: Mark, walk: &mut dyn FnMut(Mark)) {
    if depth == 0 {
        walk(mark);
    } else {
        descend(std::hint::black_box(depth - 1), mark, walk);
    }
    std::hint::black_box(depth);
}

#[inline(never)]
fn descend_from_mark(depth: usize, walk: &mut dyn FnMut(Mark)) {
    descend(depth, Mark::here(), walk);
    std::hint::black_box(depth);
}

fn addresses(frames: &[PhysicalFrame]) -> Vec<usize> {
    frames.iter().map(|frame| frame.ip.0).collect()
}

#[test]
fn the_walk_ends_at_the_mark() {
    for depth in [0, 1, 10, 1000] {
        let mut frames = Vec::new();
        descend_from_mark(depth, &mut |mark| {
            let mut walker = Walker::acquire();
            assert_eq!(walker.walk(mark, usize::MAX, &mut frames), Reach::Mark);
            walker.release(Vec::new());
        });
        assert!(frames.is_sorted_by(|below, above| below.sp < above.sp));
        let calls = addresses(&frames);
        let recursive = calls
            .iter()
            .max_by_key(|ip| calls.iter().filter(|other| other == ip).count());
        let repeated = calls.iter().filter(|ip| Some(*ip) == recursive).count();
        if depth > 1 {
            assert_eq!(repeated, depth, "{depth}: {calls:x?}");
        }
    }
}

/// Walks up to `mark` with both, and asserts that they have the same on the way.
fn compare_walkers(mark: Mark) {
    let (mut fast, mut portable) = (Vec::new(), Vec::new());
    let mut walker = Walker::acquire();
    assert_eq!(walker.walk(mark, usize::MAX, &mut fast), Reach::Mark);
    walker.release(Vec::new());
    assert_eq!(portable::walk(mark, usize::MAX, &mut portable), Reach::Mark);

    let (fast, portable) = (addresses(&fast), addresses(&portable));
    let common = fast
        .iter()
        .rev()
        .zip(portable.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    // They start in different functions of their own, and here at different calls.
    let own = fast.len().max(portable.len()) - common;
    assert!(common > 0 && own <= 8, "{fast:x?}\n{portable:x?}");
}

#[test]
fn both_walkers_find_the_same_callers() {
    descend_from_mark(20, &mut |mark| compare_walkers(mark));
}

#[test]
fn both_walkers_pass_through_other_modules() {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        /// The one of the C library, which calls back.
        fn qsort(
            base: *mut c_void,
            count: usize,
            size: usize,
            compare: unsafe extern "C" fn(*const c_void, *const c_void) -> c_int,
        );
    }

    /// # Safety
    ///
    /// The first is a pointer to a `Mark`.
    unsafe extern "C" fn compare(mark: *const c_void, _: *const c_void) -> c_int {
        // SAFETY: as the caller asserts.
        compare_walkers(unsafe { *mark.cast::<Mark>() });
        0
    }

    descend_from_mark(3, &mut |mark| {
        let mut marks = [mark; 3];
        // SAFETY: an array of three, and a function that takes pointers to two of them. It panics
        // if the test fails, which aborts the process.
        unsafe {
            qsort(
                marks.as_mut_ptr().cast(),
                marks.len(),
                size_of::<Mark>(),
                compare,
            );
        }
    });
}

#[test]
fn the_limit_is_kept() {
    let mut frames = Vec::new();
    descend_from_mark(50, &mut |mark| {
        let mut walker = Walker::acquire();
        assert_eq!(walker.walk(mark, 10, &mut frames), Reach::Limit);
        assert_eq!(frames.len(), 10);
        assert_eq!(portable::walk(mark, 10, &mut frames), Reach::Limit);
        walker.release(Vec::new());
    });
    assert_eq!(frames.len(), 10);
}

/// Two functions that leave the same on the stack, but for where they return to.
#[inline(never)]
fn left(turns: &[bool], mark: Mark, walk: &mut dyn FnMut(Mark)) -> usize {
    turn(turns, mark, walk) + 1
}

#[inline(never)]
fn right(turns: &[bool], mark: Mark, walk: &mut dyn FnMut(Mark)) -> usize {
    turn(turns, mark, walk) + 2
}

#[inline(never)]
fn turn(turns: &[bool], mark: Mark, walk: &mut dyn FnMut(Mark)) -> usize {
    type Turn = fn(&[bool], Mark, &mut dyn FnMut(Mark)) -> usize;
    let Some((is_left, turns)) = turns.split_first() else {
        walk(mark);
        return 0;
    };
    let next: Turn = if *is_left { left } else { right };
    std::hint::black_box(next)(turns, mark, walk)
}

#[inline(never)]
fn turn_from_mark(turns: &[bool], walk: &mut dyn FnMut(Mark)) -> usize {
    std::hint::black_box(turn(turns, Mark::here(), walk))
}

#[test]
fn a_walk_that_is_known_again_is_the_same() {
    const DEEP: usize = 6;
    let mut walker = Walker::acquire();
    let (mut walked, mut frames) = (Vec::new(), Vec::new());
    let mut known_again = 0;
    for round in 0..4 * (1_u32 << DEEP) {
        // Each way twice in a row, and all of them at another time again.
        let turns: Vec<bool> = (0..DEEP).map(|at| (round / 2) >> at & 1 == 1).collect();
        turn_from_mark(&turns, &mut |mark| {
            assert_eq!(walker.walk(mark, usize::MAX, &mut walked), Reach::Mark);
            let (reach, is_known) = walker.walk_or_know(mark, 0, usize::MAX, &mut frames);
            assert_eq!(reach, Reach::Mark);
            if frames.is_empty() {
                known_again += 1;
                frames.extend_from_slice(walker.last_known().unwrap().frames());
            } else if is_known {
                assert_eq!(
                    addresses(walker.last_known().unwrap().frames()),
                    addresses(&frames)
                );
            }
            let (walked, frames) = (addresses(&walked), addresses(&frames));
            // They begin in different functions of their own, called from here by different calls; where
            // it is not ours that walks, further inside.
            let own = if fast::IS_THERE { 4 } else { 8 };
            let outermost = walked.iter().rev().zip(frames.iter().rev());
            let same = outermost.take_while(|(one, other)| one == other).count();
            let longest = walked.len().max(frames.len());
            assert!(
                same > DEEP && same + own >= longest,
                "{walked:x?}\n{frames:x?}"
            );
        });
    }
    walker.release(Vec::new());
    let expected = if fast::IS_THERE { 2 << DEEP } else { 0 };
    assert!(known_again >= expected, "{known_again} of {expected}");
}

#[test]
fn what_is_known_is_kept_by_marks() {
    let frame = |at| PhysicalFrame {
        ip: ReturnAddress(at),
        sp: StackPointer(at),
    };
    let mut known = Known::new(&[frame(1), frame(2)]);
    let marks = [Mark(3), Mark(4)];
    let way = Arc::new(Way::new(vec![Step::Mark, Step::Ip(ReturnAddress(1))]));
    known.keep_way(marks.into_iter(), &way);
    assert_eq!(known.way(marks.into_iter()), Some(&way));
    assert_eq!(known.way(marks.into_iter().rev()), None);
    assert_eq!(known.way(marks.into_iter().take(1)), None);
    for at in 0..2 * MOST_WAYS {
        known.keep_way([Mark(at)].into_iter(), &way);
    }
    assert_eq!(known.ways.len(), MOST_WAYS);
}
