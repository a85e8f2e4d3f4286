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
            let marks = [mark].into_iter();
            match walker.walk_or_know(mark, marks.clone(), 0, usize::MAX, &mut frames) {
                Walked::Known(way) => {
                    known_again += 1;
                    assert!(frames.is_empty());
                    frames.extend(way.iter().filter_map(|step| match step {
                        Step::Ip(ip) => Some(PhysicalFrame {
                            ip: *ip,
                            sp: StackPointer(0),
                        }),
                        _ => None,
                    }));
                }
                Walked::New(reach, course) => {
                    assert_eq!(reach, Reach::Mark);
                    let steps = frames.iter().map(|frame| Step::Ip(frame.ip));
                    let way = Arc::new(Way::new(steps.collect()));
                    if let Some(course) = course {
                        walker.keep(course, marks, &way);
                    }
                }
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

/// The way of a walk from here, which is kept if it is new, and whether it was known.
#[inline(never)]
fn way_past(walker: &mut Walker, mark: Mark, marks: &[Mark]) -> (Arc<Way>, bool) {
    let mut frames = Vec::new();
    let marks = marks.iter().copied();
    match walker.walk_or_know(mark, marks.clone(), 0, usize::MAX, &mut frames) {
        Walked::Known(way) => (way, true),
        Walked::New(_, course) => {
            let way = Arc::new(Way::new(vec![Step::Mark; marks.len()]));
            if let Some(course) = course {
                walker.keep(course, marks, &way);
            }
            (way, false)
        }
    }
}

#[test]
fn ways_are_known_by_their_marks() {
    let mut walker = Walker::acquire();
    turn_from_mark(&[], &mut |mark| {
        let lists = [vec![], vec![mark], vec![mark, Mark(7)], vec![Mark(7), mark]];
        let mut ways = Vec::new();
        for is_known in [false, fast::IS_THERE] {
            for (at, marks) in lists.iter().enumerate() {
                let (way, was_known) = way_past(&mut walker, mark, marks);
                assert_eq!(was_known, is_known, "{marks:?}");
                assert_eq!(way.len(), marks.len());
                match ways.get(at) {
                    Some(before) => assert_eq!(Arc::ptr_eq(before, &way), is_known),
                    None => ways.push(way),
                }
            }
        }
    });
    walker.release(Vec::new());
}
