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
