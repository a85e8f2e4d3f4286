//! Walking over the unwind tables that are mapped into this process.
//!
//! * [`tables`]: finding them, and what they say of an address.
//! * [`rule`]: as much of it as a walk needs, and the memory of it.
//! * [`memory`]: whole walks that are known again, and the ways that were made of them.
//!
//! While it walks it allocates nothing and takes no lock. It guesses nothing either: where the
//! tables do not say how to go on, the walk is lost, and the platform's unwinder tries.
//!
//! *Measured,* a whole [`Trace::here`](crate::Trace::here) with 33 and with 200 different functions
//! on the stack: 0.5 and 1.4 µs; with `framehop` in the place of this, 5.0 and 53 µs; with
//! `backtrace::trace_unsynchronized`, which only walks, 9.3 and 57 µs. `framehop` keeps 509 rules,
//! at the remainders of their addresses, so that functions that are on the stack together displace
//! each other, and each has to be read from the tables again in every walk.

mod memory;
mod rule;
mod tables;

use std::arch::asm;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use gimli::UnwindContext;

pub(crate) use self::memory::Course;
use self::memory::{Memory, Word};
use self::rule::Rules;
use self::tables::{Generation, Tables};
use super::{
    Interrupted, LARGEST_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, StackPointer,
    Walked, Way,
};

#[cfg(test)]
pub(super) const IS_THERE: bool = true;

#[derive(Default)]
pub(crate) struct FastWalker {
    tables: Option<(Generation, Arc<Tables>)>,
    rules: Rules,
    memory: Memory,
    /// Room for reading a table.
    context: UnwindContext<usize>,
}

/// What is to be known of a function to find its caller.
#[derive(Clone)]
struct Registers {
    stack_pointer: usize,
    frame_pointer: usize,
    /// The return address, where calls leave it in a register, until a function saves it.
    link: Option<usize>,
}

impl FastWalker {
    /// Takes note of libraries that came or went since the last walk.
    pub(crate) fn refresh(&mut self) {
        let generation = Generation::now();
        if self.tables.as_ref().is_none_or(|(of, _)| *of != generation) {
            self.tables = Some((generation, tables::loaded(generation)));
            self.rules = Rules::default();
            self.memory = Memory::default();
        }
    }

    /// Appends the frames from the caller up to `mark`, leaf first.
    #[cfg(test)]
    #[inline(never)]
    pub(crate) fn walk(
        &mut self,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        let (ip, registers) = here();
        let read = own_stack(&registers, mark);
        self.walk_from(ip, registers, mark, limit, frames, read)
    }

    /// As `walk`, past these marks, from the outermost on. If it leads the same way as one before, it does
    /// not add frames.
    ///
    /// `kind` is the same for walks that are likely to be: one is known only among those of its kind.
    #[inline(never)]
    pub(crate) fn walk_or_know(
        &mut self,
        mark: Mark,
        marks: impl Iterator<Item = Mark> + Clone,
        kind: usize,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Walked {
        let (ip, registers) = here();
        let read = own_stack(&registers, mark);
        if limit >= memory::LONGEST
            && let Some(way) = self.memory.find(ip, &registers, mark, kind, marks)
        {
            return Walked::Known(way);
        }
        let start = registers.clone();
        let reach = self.walk_from(ip, registers, mark, limit, frames, read);
        let course = match reach {
            Reach::Mark if frames.len() <= memory::LONGEST => self.course(ip, start, mark, frames),
            _ => None,
        };
        Walked::New(reach, course)
    }

    /// Has the walk that was just made known, as this way past these marks.
    pub(crate) fn keep(
        &mut self,
        course: Course,
        marks: impl Iterator<Item = Mark>,
        way: &Arc<Way>,
    ) {
        self.memory.insert(course, marks, way);
    }

    /// Goes once more over a walk that has come to its mark, for what it has depended on.
    fn course(
        &mut self,
        ip: usize,
        mut registers: Registers,
        mark: Mark,
        frames: &[PhysicalFrame],
    ) -> Option<Course> {
        let read = own_stack(&registers, mark);
        let mut course = Course {
            ip,
            mark,
            stack_pointer: registers.stack_pointer,
            frame_pointer: None,
            link: None,
            words: Box::default(),
        };
        let start = (registers.frame_pointer, registers.link);
        let words = RefCell::new(Vec::new());
        // The words of which it is not known yet whether they matter are frame pointers. Where the
        // current one is from: a word, or the register.
        let mut matters: Vec<bool> = Vec::new();
        let mut frame_pointer_from = None;
        let (_, tables) = self.tables.as_ref()?;
        let mut address = ip;
        // The last is the marked function itself.
        for _ in 0..=frames.len() {
            let rule = self
                .rules
                .get_or_insert(address, || tables.rule_at(address, &mut self.context))?;
            if rule.is_from_frame_pointer() {
                match frame_pointer_from {
                    Some(word) => matters[word] = true,
                    None => course.frame_pointer = Some(start.0),
                }
            }
            let above = rule.caller(&registers)?;
            if above > mark.0 {
                let words = words.into_inner();
                let words = words.into_iter().zip(matters);
                course.words = words
                    .filter_map(|(word, matters)| matters.then_some(word))
                    .collect();
                return Some(course);
            }
            if rule.is_return_address_in_register() {
                course.link = start.1;
            }
            let noting = |address| {
                let value = read(address)?;
                words.borrow_mut().push(Word { address, value });
                Some(value)
            };
            let return_address = rule.unwind(above, &mut registers, noting)?;
            address = return_address.wrapping_sub(1);
            // The return address, if it was read, comes first.
            let mut read_now = words.borrow().len() - matters.len();
            if !rule.is_return_address_in_register() {
                matters.push(true);
                read_now -= 1;
            }
            if read_now > 0 {
                frame_pointer_from = Some(matters.len());
                matters.push(false);
            }
        }
        None
    }

    /// As `walk`, from where another thread was interrupted.
    ///
    /// As far as it came: if it is lost on the way, the frames up to there are right.
    pub(crate) fn walk_interrupted(
        &mut self,
        thread: &Interrupted<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        // The thread has gone on, and its code need not be there any more: while a visitor runs, the
        // loader removes none.
        let reach = tables::while_loaded(|| {
            self.refresh();
            self.walk_loaded(thread, mark, limit, frames)
        });
        // A return address is behind the instruction that is meant, and this one was at it.
        if let Some(leaf) = frames.first_mut() {
            leaf.ip.0 = leaf.ip.0.wrapping_add(1);
        }
        reach.unwrap_or(Reach::Lost)
    }

    fn walk_loaded(
        &mut self,
        thread: &Interrupted<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        let is_beyond = Cell::new(false);
        let read = |address: usize| {
            is_beyond.set(thread.is_beyond(address));
            thread.read(address)
        };
        let registers = Registers {
            stack_pointer: thread.stack_pointer,
            frame_pointer: thread.frame_pointer,
            link: thread.link,
        };
        let reach = self.walk_from(thread.ip, registers, mark, limit, frames, read);
        match reach {
            Reach::Lost if is_beyond.get() => Reach::Limit,
            Reach::Lost if self.is_end(frames) => Reach::End,
            Reach::Lost if frames.len() <= 1 => self.walk_from_stub(thread, mark, limit, frames),
            reach => reach,
        }
    }

    /// Whether the tables say that the last of the frames has no caller.
    fn is_end(&mut self, frames: &[PhysicalFrame]) -> bool {
        let (Some((_, tables)), [_, .., last]) = (&self.tables, frames) else {
            return false;
        };
        let address = last.ip.0.wrapping_sub(1);
        tables.is_outermost(address, &mut self.context)
    }

    /// As `walk_loaded`, where the tables say nothing of the leaf.
    ///
    /// So it is with the stubs through which a library calls another. They have no frame: it may be so
    /// that the return address is where it was pushed. It is if that leads to the mark.
    fn walk_from_stub(
        &mut self,
        thread: &Interrupted<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        let leaf = PhysicalFrame {
            ip: ReturnAddress(thread.ip),
            sp: StackPointer(thread.stack_pointer),
        };
        frames.clear();
        frames.push(leaf);
        let (return_address, pushed) = match thread.link {
            Some(link) => (Some(link), 0),
            None => (thread.read(thread.stack_pointer), size_of::<usize>()),
        };
        if let Some(ip) = return_address {
            let registers = Registers {
                stack_pointer: thread.stack_pointer.wrapping_add(pushed),
                frame_pointer: thread.frame_pointer,
                link: None,
            };
            let read = |address: usize| thread.read(address);
            if self.walk_from(ip, registers, mark, limit, frames, read) == Reach::Mark {
                return Reach::Mark;
            }
        }
        frames.truncate(1);
        Reach::Lost
    }

    /// Appends the frames from a place in the code up to `mark`, leaf first.
    ///
    /// That place is an instruction that is being executed, unless there are frames already: then it is
    /// one that is returned to. If the walk is lost, the last frame is that of which the caller is not
    /// known.
    #[inline(always)]
    fn walk_from(
        &mut self,
        mut ip: usize,
        mut registers: Registers,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
        read: impl Fn(usize) -> Option<usize>,
    ) -> Reach {
        let Some((_, tables)) = &self.tables else {
            return Reach::Lost;
        };
        // Its callers are where they called, which is before they return to: that may be the start
        // of the next function, if a call does not return.
        let mut address = match &**frames {
            [] => ip,
            [..] => ip.wrapping_sub(1),
        };
        while frames.len() < limit {
            let sp = registers.stack_pointer;
            let rule = self
                .rules
                .get_or_insert(address, || tables.rule_at(address, &mut self.context));
            let caller = rule.and_then(|rule| Some((rule, rule.caller(&registers)?)));
            let caller = caller.filter(|(_, above)| *above > sp);
            if let Some((_, above)) = caller
                && above > mark.0
            {
                return match mark.distance(StackPointer(sp)) {
                    Some(distance) if distance <= LARGEST_MARKED_FRAME => Reach::Mark,
                    _ => Reach::Lost,
                };
            }
            frames.push(PhysicalFrame {
                ip: ReturnAddress(ip),
                sp: StackPointer(sp),
            });
            let Some(return_address) =
                caller.and_then(|(rule, above)| rule.unwind(above, &mut registers, &read))
            else {
                // What is no code was not returned to.
                if frames.len() > 1 && !tables.is_code(address) {
                    frames.pop();
                }
                return Reach::Lost;
            };
            ip = return_address;
            address = ip.wrapping_sub(1);
        }
        Reach::Limit
    }
}

/// Whether the function to which `address` returns starts there. Where the tables do not say so, it may all
/// the same.
pub(super) fn is_in_function(address: ReturnAddress, start: usize) -> bool {
    let found = tables::while_loaded(|| {
        let tables = tables::loaded(Generation::now());
        tables.start_of_function_at(address.0.wrapping_sub(1))
    });
    found.flatten() == Some(start)
}

/// Reads the stack of this thread, from a function with these registers up to `mark`.
#[inline(always)]
fn own_stack(registers: &Registers, mark: Mark) -> impl Fn(usize) -> Option<usize> + Copy + use<> {
    let lowest = registers.stack_pointer;
    move |address: usize| {
        let inside = lowest <= address && address.checked_add(size_of::<usize>())? <= mark.0;
        if !inside || !address.is_multiple_of(align_of::<usize>()) {
            return None;
        }
        // SAFETY: the address is aligned, and the unwind tables say that a function that is running on
        // this thread has saved a register there, or it is next to the marked function's stack pointer,
        // so it is mapped stack. It is read as a plain integer, volatile, because it belongs to no
        // object that the compiler knows.
        Some(unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() })
    }
}

impl Interrupted<'_> {
    /// The word that was at this address.
    fn read(&self, address: usize) -> Option<usize> {
        let at = address.checked_sub(self.start())?;
        let word = self.stack.get(at..at.checked_add(size_of::<usize>())?)?;
        Some(usize::from_ne_bytes(word.try_into().ok()?))
    }

    /// Whether the address is in the part for which there was no room.
    fn is_beyond(&self, address: usize) -> bool {
        // What is further away is another stack.
        let is_near = |past: usize| past < self.stack.len();
        self.is_cut && address.checked_sub(self.end()).is_some_and(is_near)
    }
}

/// The stack pointer of the function into which this is inlined.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: copies a register into another.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    sp
}

/// The instruction pointer and the registers of the function into which this is inlined.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn here() -> (usize, Registers) {
    let (ip, stack_pointer, frame_pointer);
    // SAFETY: copies three registers into others.
    unsafe {
        asm!(
            "lea {ip}, [rip]",
            "mov {sp}, rsp",
            "mov {bp}, rbp",
            ip = out(reg) ip,
            sp = out(reg) stack_pointer,
            bp = out(reg) frame_pointer,
            options(nomem, nostack, preserves_flags),
        );
    }
    let registers = Registers {
        stack_pointer,
        frame_pointer,
        link: None,
    };
    (ip, registers)
}

/// The instruction pointer and the registers of the function into which this is inlined.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn here() -> (usize, Registers) {
    let (ip, stack_pointer, frame_pointer, link);
    // SAFETY: copies four registers into others.
    unsafe {
        asm!(
            "adr {ip}, .",
            "mov {sp}, sp",
            "mov {fp}, x29",
            "mov {lr}, x30",
            ip = out(reg) ip,
            sp = out(reg) stack_pointer,
            fp = out(reg) frame_pointer,
            lr = out(reg) link,
            options(nomem, nostack, preserves_flags),
        );
    }
    let registers = Registers {
        stack_pointer,
        frame_pointer,
        link: Some(link),
    };
    (ip, registers)
}

#[cfg(test)]
mod tests {
    use super::super::RED_ZONE;
    use super::*;

    const SP: usize = 0x1000;

    /// The words are 1, 2, 3, from the red zone on.
    fn thread(stack: &[u8], is_cut: bool) -> Interrupted<'_> {
        Interrupted {
            ip: 0,
            stack_pointer: SP,
            frame_pointer: 0,
            link: None,
            stack,
            is_cut,
        }
    }

    #[test]
    fn nothing_but_the_copy_is_read() {
        let words = [1_usize, 2, 3].map(usize::to_ne_bytes);
        let stack = words.as_flattened();
        let thread = thread(stack, false);
        let start = SP - RED_ZONE;
        assert_eq!(thread.read(start), Some(1));
        assert_eq!(thread.read(start + 16), Some(3));
        for outside in [0, start - 8, start - 1, start + 17, start + 24, usize::MAX] {
            assert_eq!(thread.read(outside), None, "{outside:#x}");
        }
        // In the middle of a word.
        assert!(thread.read(start + 9).is_some());
        let empty = super::tests::thread(&[], false);
        assert_eq!(empty.read(start), None);
    }

    #[test]
    fn what_was_not_copied_for_want_of_room() {
        let stack = [0; 1024];
        let end = SP - RED_ZONE + stack.len();
        let cut = thread(&stack, true);
        assert!(cut.is_beyond(end) && cut.is_beyond(end + 8));
        assert!(!cut.is_beyond(end - 8) && !cut.is_beyond(SP - RED_ZONE - 8));
        // That is another stack.
        assert!(!cut.is_beyond(end + stack.len()) && !cut.is_beyond(usize::MAX));
        assert!(!thread(&stack, false).is_beyond(end));
    }

    #[test]
    fn walks_go_as_far_as_the_marks_that_were_copied() {
        let stack = [0; 1024];
        let thread = thread(&stack, true);
        let end = SP - RED_ZONE + stack.len();
        let outermost = |marks: &[usize]| thread.outermost(marks.iter().map(|mark| Mark(*mark)));
        assert_eq!(outermost(&[SP, end - 8]), Mark(end - 8));
        assert_eq!(outermost(&[end]), Mark(end));
        assert_eq!(outermost(&[]), Mark::NOWHERE);
        for away in [0, end + 8] {
            assert_eq!(outermost(&[SP, away]), Mark::NOWHERE);
        }
    }
}
