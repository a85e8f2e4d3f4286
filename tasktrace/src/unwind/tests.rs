use super::*;

#[cfg(all(target_os = "linux", target_arch = "aarch64", not(tasktrace_portable)))]
mod aarch64;

/// Calls itself `depth` times, then calls `walk` with `mark`.
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

/// Walks up to `mark` with both walkers, and asserts that both find the same frames.
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
    // The walkers start in different functions of their own, and this function calls them at different addresses.
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
        /// The function of the C library, which calls back.
        fn qsort(
            base: *mut c_void,
            count: usize,
            size: usize,
            compare: unsafe extern "C" fn(*const c_void, *const c_void) -> c_int,
        );
    }

    /// Compares the walkers, as a callback of `qsort`.
    ///
    /// # Safety
    ///
    /// The first argument must be a pointer to a `Mark`.
    unsafe extern "C" fn compare(mark: *const c_void, _: *const c_void) -> c_int {
        // SAFETY: by the `# Safety` section, `mark` is a pointer to a `Mark`.
        compare_walkers(unsafe { *mark.cast::<Mark>() });
        0
    }

    descend_from_mark(3, &mut |mark| {
        let mut marks = [mark; 3];
        // SAFETY: `marks` is an array of as many `Mark`s as the call says, and `compare` takes pointers to two of them.
        // If the test fails, `compare` panics, which aborts the process instead of unwinding through `qsort`.
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
fn a_walk_stops_at_its_limit() {
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

/// Calls [`turn`]. The frames of this function and of [`right`] differ only in their return addresses.
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
fn a_cached_call_path_equals_that_of_a_new_walk() {
    const DEEP: usize = 6;
    let mut walker = Walker::acquire();
    let (mut walked, mut frames) = (Vec::new(), Vec::new());
    let mut known_again = 0;
    for round in 0..4 * (1_u32 << DEEP) {
        // Each path is walked twice in a row, and all paths are walked again later.
        let turns: Vec<bool> = (0..DEEP).map(|at| (round / 2) >> at & 1 == 1).collect();
        turn_from_mark(&turns, &mut |mark| {
            assert_eq!(walker.walk(mark, usize::MAX, &mut walked), Reach::Mark);
            let marks = [mark].into_iter();
            match walker.walk_or_reuse(mark, marks.clone(), 0, usize::MAX, &mut frames) {
                WalkResult::Known(path) => {
                    known_again += 1;
                    assert!(frames.is_empty());
                    frames.extend(path.iter().filter_map(|step| match step {
                        Step::Ip(ip) => Some(PhysicalFrame {
                            ip: *ip,
                            sp: StackPointer(0),
                        }),
                        _ => None,
                    }));
                }
                WalkResult::New(reach, inputs) => {
                    assert_eq!(reach, Reach::Mark);
                    let steps = frames.iter().map(|frame| Step::Ip(frame.ip));
                    let path = Arc::new(CallPath::new(steps.collect()));
                    if let Some(inputs) = inputs {
                        walker.keep(inputs, marks, &path);
                    }
                }
            }
            let (walked, frames) = (addresses(&walked), addresses(&frames));
            // The walks start in different functions of the walker, which this function calls at different addresses.
            // The portable walker has more functions of its own.
            let own = if fast::IS_AVAILABLE { 4 } else { 8 };
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
    let expected = if fast::IS_AVAILABLE { 2 << DEEP } else { 0 };
    assert!(known_again >= expected, "{known_again} of {expected}");
}

/// Returns the call path of a walk from here, and `true` if it was cached. Caches it otherwise.
#[inline(never)]
fn call_path_past(walker: &mut Walker, mark: Mark, marks: &[Mark]) -> (Arc<CallPath>, bool) {
    let mut frames = Vec::new();
    let marks = marks.iter().copied();
    match walker.walk_or_reuse(mark, marks.clone(), 0, usize::MAX, &mut frames) {
        WalkResult::Known(path) => (path, true),
        WalkResult::New(_, inputs) => {
            let path = Arc::new(CallPath::new(vec![Step::Mark; marks.len()]));
            if let Some(inputs) = inputs {
                walker.keep(inputs, marks, &path);
            }
            (path, false)
        }
    }
}

#[test]
fn call_paths_are_cached_by_their_marks() {
    let mut walker = Walker::acquire();
    turn_from_mark(&[], &mut |mark| {
        let lists = [vec![], vec![mark], vec![mark, Mark(7)], vec![Mark(7), mark]];
        let mut paths = Vec::new();
        for is_known in [false, fast::IS_AVAILABLE] {
            for (at, marks) in lists.iter().enumerate() {
                let (path, was_known) = call_path_past(&mut walker, mark, marks);
                assert_eq!(was_known, is_known, "{marks:?}");
                assert_eq!(path.len(), marks.len());
                match paths.get(at) {
                    Some(before) => assert_eq!(Arc::ptr_eq(before, &path), is_known),
                    None => paths.push(path),
                }
            }
        }
    });
    walker.release(Vec::new());
}
