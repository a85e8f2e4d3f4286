//! Walks the copied stack of an interrupted thread by frame pointers, on macOS on aarch64.
//!
//! There, each function that calls others saves the frame pointer of its caller and its own return address in two words
//! at the upper end of its frame, and its frame pointer is the address of these words (Apple, *Writing ARM64 code for
//! Apple platforms*). So no unwind tables are needed.
//!
//! The leaf may have saved neither word. Then its return address is in the link register, and the frame pointer is
//! still that of its caller: see [`has_set_frame_pointer`].

use super::{
    InterruptedThread, MAX_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, StackPointer,
};

/// The largest address of code. The bits above it may be a pointer authentication code.
const MAX_ADDRESS: usize = (1 << 47) - 1;

/// The size of a word.
const WORD: usize = size_of::<usize>();

/// Appends the frames of an interrupted thread up to `mark`, leaf first. If the walk is lost, the frames up to that
/// point are correct and stay.
///
/// `thread.link` must be `None` if the leaf has set its frame pointer.
pub(super) fn walk(
    thread: &InterruptedThread<'_>,
    mark: Mark,
    limit: usize,
    frames: &mut Vec<PhysicalFrame>,
) -> Reach {
    // The address of the leaf is that of the instruction that the thread executes next. All others are return
    // addresses, and symbols are looked up for the byte before. So the address of the leaf is moved by one byte.
    let mut ip = thread.ip.wrapping_add(1);
    let mut sp = thread.stack_pointer;
    let mut frame_pointer = thread.frame_pointer;
    let mut link = thread.link;
    let lost = |address| match thread.is_beyond(address) {
        true => Reach::Limit,
        false => Reach::Lost,
    };
    while frames.len() < limit {
        let frame = PhysicalFrame {
            ip: ReturnAddress(ip),
            sp: StackPointer(sp),
        };
        if let Some(return_address) = link.take() {
            // The leaf may have moved the stack pointer, so the stack pointer of its caller is not known. It is at
            // least that of the leaf.
            frames.push(frame);
            ip = return_address & MAX_ADDRESS;
            continue;
        }
        let saved = frame_pointer;
        let above = saved.saturating_add(2 * WORD);
        // The mark is the lower end of the frame of the marked function, and the saved words are at the upper end of a
        // frame. So the words of the marked function are above the mark, and those of the functions that it has called
        // are below.
        if above > mark.0 && above > sp {
            return match mark.distance(StackPointer(sp)) {
                Some(distance) if distance <= MAX_MARKED_FRAME => Reach::Mark,
                _ => Reach::Lost,
            };
        }
        frames.push(frame);
        if saved == 0 {
            return Reach::End;
        }
        let (Some(caller), Some(return_address)) =
            (thread.read(saved), thread.read(saved.saturating_add(WORD)))
        else {
            return lost(saved);
        };
        if above <= sp {
            return Reach::Lost;
        }
        let return_address = return_address & MAX_ADDRESS;
        if return_address == 0 {
            return Reach::End;
        }
        (ip, sp, frame_pointer) = (return_address, above, caller);
    }
    Reach::Limit
}

/// Returns `true` if a function has set its frame pointer and has not yet restored the one of its caller. `code` has
/// the instructions from the start of the function up to the one that it executes next.
///
/// A function sets its frame pointer at its start. It restores the one of its caller wherever it returns, which may be
/// in the middle of the code. So only the instructions after the last branch tell whether it has restored it.
pub(crate) fn has_set_frame_pointer(code: &[u32]) -> bool {
    // `add x29, sp, …`, of which `mov x29, sp` is a case.
    let is_set = |instruction: u32| instruction & 0xffc0_03ff == 0x9100_03fd;
    // `ldp x29, x30, [sp, …]` and `ldp x29, x30, [sp], …`.
    let is_restored = |instruction: u32| {
        let pair = instruction & 0xffc0_7fff;
        pair == 0xa940_7bfd || pair == 0xa8c0_7bfd
    };
    let is_branch = |instruction: u32| {
        // `b`, `bl`, `b.cond`; `cbz`, `cbnz`, `tbz`, `tbnz`; `br`, `blr`, `ret`.
        matches!(instruction >> 26, 0b00_0101 | 0b10_0101 | 0b01_0101)
            || matches!(instruction >> 25 & 0x3f, 0b01_1010 | 0b01_1011)
            || instruction >> 25 == 0b110_1011
    };
    let after_branch = code.iter().rev().take_while(|it| !is_branch(**it));
    let is_at_end = after_branch.copied().any(is_restored);
    code.iter().copied().any(is_set) && !is_at_end
}

#[cfg(test)]
mod tests {
    use super::super::RED_ZONE;
    use super::*;

    const SP: usize = 0x10_0000;

    /// Walks a stack that begins with `words` at [`SP`]. Words below 1,000 are numbers of words of the stack. Returns
    /// the addresses of the frames, each with the distance of its stack pointer from [`SP`] in words.
    fn walk_words(
        words: &[usize],
        frame_pointer: usize,
        link: Option<usize>,
        mark: usize,
    ) -> (Reach, Vec<(usize, usize)>) {
        let address = |word: usize| match word {
            0 | 1_000.. => word,
            _ => SP + word * WORD,
        };
        let mut stack = vec![0; RED_ZONE];
        stack.extend(words.iter().flat_map(|word| address(*word).to_ne_bytes()));
        let thread = InterruptedThread {
            ip: 0x4000,
            stack_pointer: SP,
            frame_pointer: address(frame_pointer),
            link,
            general: &[],
            is_fiber: false,
            stack: &stack,
            is_cut: false,
        };
        let mut frames = Vec::new();
        let reach = walk(&thread, Mark(address(mark)), 10, &mut frames);
        let frame = |frame: &PhysicalFrame| (frame.ip.0, (frame.sp.0 - SP) / WORD);
        (reach, frames.iter().map(frame).collect())
    }

    /// Three functions, with their saved words at 2, 6 and 9.
    const WORDS: [usize; 13] = [
        7_000, 7_000, 6, 0x5000, 7_000, 7_000, 9, 0x6000, 7_000, 0, 0x7000, 0, 0,
    ];

    #[test]
    fn callers_are_found_up_to_the_end_of_the_stack() {
        let all = [(0x4001, 0), (0x5000, 4), (0x6000, 8), (0x7000, 11)];
        let (reach, frames) = walk_words(&WORDS, 2, None, usize::MAX);
        assert_eq!((reach, &*frames), (Reach::End, &all[..]));
    }

    #[test]
    fn the_marked_function_is_left_out() {
        let (reach, frames) = walk_words(&WORDS, 2, None, 5);
        assert_eq!((reach, &*frames), (Reach::Mark, &[(0x4001, 0)][..]));
        let (reach, frames) = walk_words(&WORDS, 2, None, 9);
        let expected = [(0x4001, 0), (0x5000, 4)];
        assert_eq!((reach, &*frames), (Reach::Mark, &expected[..]));
    }

    #[test]
    fn the_caller_of_a_leaf_without_a_frame_is_in_the_link_register() {
        let signed = 0x4800 | 0x5a << 48;
        let all = [(0x4001, 0), (0x4800, 0), (0x5000, 4)];
        for (mark, count) in [(3, 1), (5, 2), (9, 3)] {
            let (reach, frames) = walk_words(&WORDS, 2, Some(signed), mark);
            assert_eq!((reach, &*frames), (Reach::Mark, &all[..count]), "{mark}");
        }
    }

    #[test]
    fn wrong_frame_pointers_end_a_walk() {
        for wrong in [5_000, usize::MAX, usize::MAX - 8] {
            let (reach, frames) = walk_words(&WORDS, wrong, None, usize::MAX);
            assert_eq!((reach, frames.len()), (Reach::Lost, 1), "{wrong:#x}");
        }
        // The frame pointer of a caller that is below that of the function it has called.
        let mut words = WORDS;
        words[6] = 2;
        let (reach, frames) = walk_words(&words, 2, None, usize::MAX);
        assert_eq!((reach, frames.len()), (Reach::Lost, 3));
    }

    const STORE: u32 = 0xa9bf_7bfd; // stp x29, x30, [sp, #-16]!
    const SET: u32 = 0x9100_03fd; // mov x29, sp
    const SET_ABOVE: u32 = 0x9100_43fd; // add x29, sp, #16
    const ADD: u32 = 0x8b01_0000; // add x0, x0, x1
    const RESTORE: u32 = 0xa8c1_7bfd; // ldp x29, x30, [sp], #16
    const RESTORE_AT: u32 = 0xa941_7bfd; // ldp x29, x30, [sp, #16]
    const AUTHENTICATE: u32 = 0xd503_23ff; // autibsp
    const RETURN: u32 = 0xd65f_03c0; // ret

    #[test]
    fn code_tells_whether_the_frame_pointer_is_set() {
        for (code, is_set) in [
            (&[][..], false),
            (&[ADD, ADD], false),
            (&[STORE], false),
            (&[STORE, SET], true),
            (&[STORE, SET_ABOVE, ADD], true),
            (&[STORE, SET, ADD, RESTORE], false),
            (&[STORE, SET, ADD, RESTORE_AT], false),
            (&[STORE, SET, ADD, RESTORE, AUTHENTICATE], false),
            // The function has another end before.
            (&[STORE, SET, ADD, RESTORE, RETURN], true),
            (&[STORE, SET, ADD, RESTORE, RETURN, ADD], true),
        ] {
            assert_eq!(has_set_frame_pointer(code), is_set, "{code:x?}");
        }
    }

    #[test]
    fn branches_end_the_search_for_the_end_of_the_function() {
        // `b`, `bl`, `b.eq`, `cbz`, `tbnz`, `br`, `blr`, `ret`.
        for branch in [
            0x1400_0002,
            0x9400_0002,
            0x5400_0040,
            0xb400_0040,
            0x3700_0040,
            0xd61f_0000,
            0xd63f_0000,
            RETURN,
        ] {
            assert!(
                has_set_frame_pointer(&[STORE, SET, RESTORE, branch]),
                "{branch:x}"
            );
        }
    }
}
