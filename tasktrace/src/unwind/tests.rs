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
            walker.release();
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

#[test]
fn both_walkers_find_the_same_callers() {
    let (mut fast, mut portable) = (Vec::new(), Vec::new());
    descend_from_mark(20, &mut |mark| {
        let mut walker = Walker::acquire();
        walker.walk(mark, usize::MAX, &mut fast);
        walker.release();
        assert_eq!(portable::walk(mark, usize::MAX, &mut portable), Reach::Mark);
    });
    let (fast, portable) = (addresses(&fast), addresses(&portable));
    // They start in different functions, and within this closure at different calls.
    let common = fast
        .iter()
        .rev()
        .zip(portable.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    assert!(common >= 20, "{fast:x?}\n{portable:x?}");
}

#[test]
fn the_limit_is_kept() {
    let mut frames = Vec::new();
    descend_from_mark(50, &mut |mark| {
        let mut walker = Walker::acquire();
        assert_eq!(walker.walk(mark, 10, &mut frames), Reach::Limit);
        assert_eq!(frames.len(), 10);
        assert_eq!(portable::walk(mark, 10, &mut frames), Reach::Limit);
        walker.release();
    });
    assert_eq!(frames.len(), 10);
}
