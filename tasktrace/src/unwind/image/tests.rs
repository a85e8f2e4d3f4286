use super::super::RED_ZONE;
use super::*;

const RBX: u8 = 3;
const RBP: u8 = 5;
const R12: u8 = 12;

/// The address of the stack pointer of the interrupted thread.
const SP: usize = 0x7000_0000;
/// A return address in the outermost function, which is at `0x1f00`.
const OUTERMOST: usize = 0x1f10;

/// An image with functions that tests write.
struct FakeImage {
    bytes: Vec<u8>,
    rows: Vec<[u32; 3]>,
}

const HEADER: usize = 0x80;
const TABLE: usize = 0x400;
const SIZE: usize = 0x4000;

impl FakeImage {
    fn new() -> Self {
        let mut image = Self {
            bytes: vec![0xcc; SIZE],
            rows: Vec::new(),
        };
        image.function(0x1f00, 0x1f80, [1, 0, 0, 0], &[]);
        image
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Adds a function with this unwind information: the header, and the operations.
    fn function(&mut self, start: u32, end: u32, header: [u8; 4], operations: &[u8]) {
        let unwind_info = 0x2000 + start;
        self.write(unwind_info as usize, &header);
        self.write(unwind_info as usize + 4, operations);
        self.rows.push([start, end, unwind_info]);
    }

    /// Writes the headers and the table, and returns the address of the image. It is never freed.
    fn load(mut self) -> (usize, Image) {
        self.rows.sort_unstable();
        let rows: Vec<u8> = self
            .rows
            .iter()
            .flatten()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        for (at, word) in [
            (0x3c, HEADER),
            (HEADER + 0x50, SIZE),
            (HEADER + 0xa0, TABLE),
            (HEADER + 0xa4, rows.len()),
        ] {
            self.write(at, &u32::try_from(word).unwrap().to_le_bytes());
        }
        self.write(TABLE, &rows);
        let start = self.bytes.leak().as_ptr().expose_provenance();
        // SAFETY: the bytes are never freed, and begin with the headers.
        (start, unsafe { Image::at(start) })
    }
}

/// The result of a walk: the offsets of the addresses in the image, with the stack pointers relative to `SP`.
type Walked = (Reach, Vec<(usize, usize)>);

/// Walks from the code at this offset, with these registers and these words on the stack. Words of the stack that are
/// offsets of code in the image stand for addresses there.
fn walk(
    image: (usize, Image),
    code: usize,
    registers: &[(u8, usize)],
    words: &[usize],
    mark: Mark,
) -> Walked {
    walk_on(Stack::OfThread, image, code, registers, words, mark)
}

#[derive(PartialEq)]
enum Stack {
    OfThread,
    OfFiber,
}

fn walk_on(
    stack_of: Stack,
    image: (usize, Image),
    code: usize,
    registers: &[(u8, usize)],
    words: &[usize],
    mark: Mark,
) -> Walked {
    let (start, image) = image;
    let is_code = |word: usize| (0x1000..0x2000).contains(&word);
    let mut stack = vec![0; RED_ZONE];
    for word in words {
        let word = word + if is_code(*word) { start } else { 0 };
        stack.extend(word.to_ne_bytes());
    }
    let mut general = [0; 16];
    general[RSP] = SP;
    for (number, value) in registers {
        general[usize::from(*number)] = *value;
    }
    let thread = InterruptedThread {
        ip: start + code,
        stack_pointer: SP,
        frame_pointer: 0,
        link: None,
        general: &general,
        is_fiber: stack_of == Stack::OfFiber,
        stack: &stack,
        is_cut: false,
    };
    let mut frames = Vec::new();
    let image_at = |address: usize| image.contains(address).then(|| image.clone());
    let reach = walk_in(image_at, &thread, mark, 10, &mut frames);
    let frame = |frame: &PhysicalFrame| (frame.ip.0 - start, frame.sp.0 - SP);
    (reach, frames.iter().map(frame).collect())
}

/// `push rbx`, `sub rsp, 0x20`, …, `add rsp, 0x20`, `pop rbx`, `ret`
fn with_a_saved_register() -> FakeImage {
    let mut image = FakeImage::new();
    image.function(0x1000, 0x1030, [1, 5, 2, 0], &[5, 0x32, 1, RBX << 4]);
    image.write(0x1000, &[0x53, 0x48, 0x83, 0xec, 0x20]);
    image.write(0x1010, &[0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3]);
    image
}

#[test]
fn a_function_without_a_row_returns_to_its_caller() {
    let walked = walk(
        with_a_saved_register().load(),
        0x1800,
        &[],
        &[OUTERMOST, 0],
        Mark::NOWHERE,
    );
    assert_eq!(walked, (Reach::End, vec![(0x1800, 0), (OUTERMOST, 8)]));
}

#[test]
fn the_end_of_the_stack_of_a_fiber_is_not_the_end_of_the_thread() {
    let image = with_a_saved_register().load();
    let words = [OUTERMOST, 0];
    let walked = walk_on(Stack::OfFiber, image, 0x1800, &[], &words, Mark::NOWHERE);
    assert_eq!(walked, (Reach::Lost, vec![(0x1800, 0), (OUTERMOST, 8)]));
}

#[test]
fn every_instruction_of_a_prolog_and_an_epilog_leads_to_the_caller() {
    let body = [0, 0, 0, 0, 7, OUTERMOST, 0];
    // The offset of the next instruction, and the number of words of `body` that the prolog has already pushed, or that
    // the epilog has not yet removed.
    for (code, words) in [
        (0x1000, 2),
        (0x1001, 3),
        (0x1005, 7),
        (0x1008, 7),
        (0x1010, 7),
        (0x1014, 3),
        (0x1015, 2),
    ] {
        let words = &body[body.len() - words..];
        let walked = walk(
            with_a_saved_register().load(),
            code,
            &[],
            words,
            Mark::NOWHERE,
        );
        let caller = (words.len() - 1) * 8;
        assert_eq!(
            walked,
            (Reach::End, vec![(code, 0), (OUTERMOST, caller)]),
            "{code:#x}"
        );
    }
}

/// The unwind information does not say how far the stack pointer is from the frame, because the function has allocated
/// more.
#[test]
fn a_frame_pointer_leads_to_the_caller() {
    let mut image = with_a_saved_register();
    // `push rbp`, `sub rsp, 0x10`, `lea rbp, [rsp + 0x10]`
    let operations = [10, 0x03, 5, 0x12, 1, RBP << 4];
    image.function(0x1100, 0x1140, [1, 10, 3, RBP | 0x10], &operations);
    let words = [1, 2, 3, 4, 5, 6, 99, 0x1009, 0, 0, 0, 0, 7, OUTERMOST, 0];
    let frame_pointer = SP + 6 * 8;
    let image = image.load();
    let registers = [(RBP, frame_pointer)];
    let walked = walk(image.clone(), 0x1120, &registers, &words, Mark::NOWHERE);
    let expected = vec![(0x1120, 0), (0x1009, 8 * 8), (OUTERMOST, 14 * 8)];
    assert_eq!(walked, (Reach::End, expected));

    // A wrong frame pointer reads nothing outside of the copy.
    for wrong in [0, 1, SP - 0x1000, SP + 0x10_0000, usize::MAX] {
        let walked = walk(
            image.clone(),
            0x1120,
            &[(RBP, wrong)],
            &words,
            Mark::NOWHERE,
        );
        assert_eq!(walked, (Reach::Lost, vec![(0x1120, 0)]), "{wrong:#x}");
    }
}

#[test]
fn saved_registers_and_large_frames_are_followed() {
    let mut image = FakeImage::new();
    // `sub rsp, 0x50`, `mov [rsp + 0x48], rbp`: the caller has a frame pointer.
    let operations = [12, RBP << 4 | 4, 9, 0, 7, 1, 10, 0];
    image.function(0x1000, 0x1080, [1, 12, 4, 0], &operations);
    // `sub rsp, 0x20`, `mov [rsp + 0x18], r12`, far and large.
    let operations = [12, R12 << 4 | 5, 0x18, 0, 0, 0, 7, 0x11, 0x20, 0, 0, 0];
    image.function(0x1100, 0x1180, [1, 12, 6, 0], &operations);
    let operations = [4, 0x03, 1, RBP << 4];
    image.function(0x1200, 0x1280, [1, 4, 2, RBP], &operations);
    let mut words = vec![0; 9];
    words.extend([
        SP + 17 * 8,
        0x1150,
        0,
        0,
        0,
        12,
        0x1250,
        5,
        99,
        OUTERMOST,
        0,
    ]);
    let walked = walk(image.load(), 0x1050, &[], &words, Mark::NOWHERE);
    let expected = vec![
        (0x1050, 0),
        (0x1150, 11 * 8),
        (0x1250, 16 * 8),
        (OUTERMOST, 19 * 8),
    ];
    assert_eq!(walked, (Reach::End, expected));
}

#[test]
fn a_part_of_a_function_continues_in_its_first_part() {
    let mut image = with_a_saved_register();
    // `sub rsp, 8`, chained: the row of the first part is behind the operations, which are made even.
    let mut operations = vec![4, 0x02, 0, 0];
    for word in [0x1000_u32, 0x1030, 0x3000] {
        operations.extend(word.to_le_bytes());
    }
    image.function(0x1100, 0x1140, [1 | 4 << 3, 4, 1, 0], &operations);
    // A jump to that part, and a jump to another function.
    image.write(0x1020, &[0xe9, 0xdb, 0, 0, 0]);
    image.write(0x1028, &[0xe9, 0xd3, 0x0e, 0, 0]);
    let image = image.load();
    let words = [6, 0, 0, 0, 0, 7, OUTERMOST, 0];
    let walked = walk(image.clone(), 0x1120, &[], &words, Mark::NOWHERE);
    assert_eq!(walked, (Reach::End, vec![(0x1120, 0), (OUTERMOST, 7 * 8)]));
    // The frame is still there at the first jump. At the second, the function has given it up.
    let walked = walk(image.clone(), 0x1020, &[], &words[1..], Mark::NOWHERE);
    assert_eq!(walked, (Reach::End, vec![(0x1020, 0), (OUTERMOST, 6 * 8)]));
    let walked = walk(image, 0x1028, &[], &words[6..], Mark::NOWHERE);
    assert_eq!(walked, (Reach::End, vec![(0x1028, 0), (OUTERMOST, 8)]));
}

#[test]
fn a_row_that_refers_to_another_row_has_its_unwind_information() {
    let mut image = with_a_saved_register();
    // Code before and code after the function, with rows that refer to its row. The rows are sorted.
    let offset = u32::try_from(TABLE + 12).unwrap();
    image.rows.push([0xf80, 0xfc0, offset | 1]);
    image.rows.push([0x1100, 0x1140, offset | 1]);
    // A jump to the code after the function: not the start of a function.
    image.write(0x1020, &[0xe9, 0xdb, 0, 0, 0]);
    let image = image.load();
    let words = [0, 0, 0, 0, 7, OUTERMOST, 0];
    for code in [0xf90, 0x1020, 0x1100, 0x1120] {
        let walked = walk(image.clone(), code, &[], &words, Mark::NOWHERE);
        let expected = vec![(code, 0), (OUTERMOST, 6 * 8)];
        assert_eq!(walked, (Reach::End, expected), "{code:#x}");
    }
}

#[test]
fn descriptions_of_epilogs_are_skipped() {
    let mut image = FakeImage::new();
    let operations = [6, 0x16, 0, 0x06, 5, 0x32, 1, RBX << 4];
    image.function(0x1000, 0x1030, [2, 5, 4, 0], &operations);
    let image = image.load();
    let words = [0, 0, 0, 0, 7, OUTERMOST, 0];
    let walked = walk(image, 0x1008, &[], &words, Mark::NOWHERE);
    assert_eq!(walked, (Reach::End, vec![(0x1008, 0), (OUTERMOST, 6 * 8)]));
}

#[test]
fn a_walk_ends_below_the_marked_function() {
    let words = [0x1009, 0, 0, 0, 0, 7, OUTERMOST, 0];
    let image = with_a_saved_register().load();
    let walked = walk(image.clone(), 0x1800, &[], &words, Mark(SP + 3 * 8));
    assert_eq!(walked, (Reach::Mark, vec![(0x1800, 0)]));
    // No function is close below this mark.
    let far = Mark(SP + 2 * MAX_MARKED_FRAME);
    let (reach, _) = walk(image, 0x1800, &[], &words, far);
    assert_eq!(reach, Reach::End);
}

#[test]
fn an_address_outside_of_all_images_is_no_frame() {
    let image = with_a_saved_register().load();
    let walked = walk(image, 0x1800, &[], &[0x20, 0, 0, 0], Mark::NOWHERE);
    assert_eq!(walked, (Reach::Lost, vec![(0x1800, 0)]));
}

/// Any bytes are read without a panic, and the walk ends.
#[test]
fn any_unwind_information_ends_the_walk() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut image = FakeImage::new();
    for number in 0..0xe0 {
        let start = 0x1000 + number * 0x10;
        let [first, operations @ ..] = random().to_le_bytes();
        let header = [
            first & 0x3f,
            operations[0] & 0xf,
            operations[1] & 7,
            operations[2],
        ];
        image.function(start, start + 0x10, header, &operations[3..]);
        image.write(start as usize, &random().to_le_bytes());
        if random() % 8 == 0
            && let Some([.., unwind_info]) = image.rows.last_mut()
        {
            *unwind_info = (random() % SIZE as u64) as u32 | 1;
        }
    }
    let image = image.load();
    for _ in 0..10_000 {
        let words: Vec<usize> = (0..64)
            .map(|_| match random() % 3 {
                0 => SP + (random() % 600) as usize,
                1 => random() as usize,
                _ => 0x1000 + (random() % 0x1000) as usize,
            })
            .collect();
        let code = 0x1000 + (random() % 0x1000) as usize;
        let registers = [(RBP, SP + (random() % 600) as usize)];
        let (_, frames) = walk(image.clone(), code, &registers, &words, Mark::NOWHERE);
        assert!(frames.len() <= 10 && !frames.is_empty());
    }
}
