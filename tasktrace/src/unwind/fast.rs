//! Walks the stack by the unwind tables that are mapped into this process.
//!
//! * [`tables`]: finds the unwind tables, and looks up an address in them.
//! * [`rule`]: the part of an unwind table's row that a walk needs, and a cache of such rules.
//! * [`walk_cache`]: a cache of whole walks and their call paths.
//! * [`authentication`]: removes pointer authentication codes.
//!
//! A walk allocates nothing and takes no lock. It does not guess: if the tables do not say how to find a caller, the
//! walk is lost, and the platform's unwinder tries.
//!
//! *Measured,* a whole [`Trace::here`](crate::Trace::here) with 33 and with 200 different functions on the stack takes
//! 0.5 and 1.4 µs. With `framehop` instead of this module, it takes 5.0 and 53 µs. `backtrace::trace_unsynchronized`,
//! which only walks, takes 9.3 and 57 µs. `framehop` keeps 509 rules and picks the place of a rule by the remainder of
//! its address. So functions on the same stack evict each other, and every walk reads their rules from the tables
//! again.

mod authentication;
mod rule;
mod tables;
mod walk_cache;

use std::arch::asm;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use gimli::UnwindContext;

use self::rule::RuleCache;
use self::tables::{Generation, Tables};
pub(crate) use self::walk_cache::WalkInputs;
use self::walk_cache::{StackWord, WalkCache};
use super::{
    CallPath, InterruptedThread, MAX_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress,
    StackPointer, WalkResult,
};

#[cfg(test)]
pub(super) const IS_AVAILABLE: bool = true;

/// A walker by the unwind tables, with its caches.
#[derive(Default)]
pub(crate) struct FastWalker {
    tables: Option<(Generation, Arc<Tables>)>,
    rules: RuleCache,
    walks: WalkCache,
    /// A buffer for reading a table.
    context: UnwindContext<usize>,
}

/// The largest number of attempts to walk an interrupted thread. An attempt fails if a library is loaded or unloaded.
const ATTEMPTS: usize = 10;

/// The registers of a function that are needed to find its caller.
#[derive(Clone)]
struct Registers {
    stack_pointer: usize,
    frame_pointer: usize,
    /// The link register, on processors whose calls leave the return address in a register, until the function saves
    /// it.
    link: Option<usize>,
}

impl FastWalker {
    /// Empties the caches if libraries were loaded or unloaded since the last walk.
    pub(crate) fn refresh(&mut self) {
        let generation = Generation::now();
        if !self.has_tables_of(generation) {
            self.tables = Some((generation, tables::loaded(generation)));
            self.rules = RuleCache::default();
            self.walks = WalkCache::default();
        }
    }

    fn has_tables_of(&self, generation: Generation) -> bool {
        let tables = self.tables.as_ref();
        tables.is_some_and(|(of, _)| *of == generation)
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

    /// Walks from the caller up to `mark`, past `marks`, which are ordered outermost first. If the call path of such a
    /// walk is cached, returns that. Otherwise appends the frames, leaf first.
    ///
    /// A cached call path is found only by the `group` with which it was added.
    #[inline(never)]
    pub(crate) fn walk_or_reuse(
        &mut self,
        mark: Mark,
        marks: impl Iterator<Item = Mark> + Clone,
        group: usize,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> WalkResult {
        let (ip, registers) = here();
        let read = own_stack(&registers, mark);
        if limit >= walk_cache::MAX_FRAMES
            && let Some(path) = self.walks.find(ip, &registers, mark, group, marks)
        {
            return WalkResult::Known(path);
        }
        let start = registers.clone();
        let reach = self.walk_from(ip, registers, mark, limit, frames, read);
        let inputs = match reach {
            Reach::Mark if frames.len() <= walk_cache::MAX_FRAMES => {
                self.inputs_of(ip, start, mark, frames)
            }
            _ => None,
        };
        WalkResult::New(reach, inputs)
    }

    /// Caches the call path of the last walk, which passed these marks.
    pub(crate) fn keep(
        &mut self,
        inputs: WalkInputs,
        marks: impl Iterator<Item = Mark>,
        path: &Arc<CallPath>,
    ) {
        self.walks.insert(inputs, marks, path);
    }

    /// Repeats a walk that has reached its mark, and returns the inputs that it has depended on.
    fn inputs_of(
        &mut self,
        ip: usize,
        mut registers: Registers,
        mark: Mark,
        frames: &[PhysicalFrame],
    ) -> Option<WalkInputs> {
        let read = own_stack(&registers, mark);
        let mut inputs = WalkInputs {
            ip,
            mark,
            stack_pointer: registers.stack_pointer,
            frame_pointer: None,
            link: None,
            words: Box::default(),
        };
        let start = (registers.frame_pointer, registers.link);
        let words = RefCell::new(Vec::new());
        // Return addresses always matter. A saved frame pointer matters only if a rule uses it later, before the next
        // one replaces it. `frame_pointer_from` is the word that the current frame pointer comes from, or `None` if it
        // comes from the register.
        let mut matters: Vec<bool> = Vec::new();
        let mut frame_pointer_from = None;
        let (_, tables) = self.tables.as_ref()?;
        let mut address = ip;
        // The last iteration is that of the marked function itself.
        for _ in 0..=frames.len() {
            let rule = self
                .rules
                .get_or_insert(address, || tables.rule_at(address, &mut self.context))?;
            if rule.is_from_frame_pointer() {
                match frame_pointer_from {
                    Some(word) => matters[word] = true,
                    None => inputs.frame_pointer = Some(start.0),
                }
            }
            let above = rule.caller(&registers)?;
            if above > mark.0 {
                let words = words.into_inner();
                let words = words.into_iter().zip(matters);
                inputs.words = words
                    .filter_map(|(word, matters)| matters.then_some(word))
                    .collect();
                return Some(inputs);
            }
            if rule.is_return_address_in_register() {
                inputs.link = start.1;
            }
            let noting = |address| {
                let value = read(address)?;
                words.borrow_mut().push(StackWord { address, value });
                Some(value)
            };
            let return_address = rule.unwind(above, &mut registers, noting)?;
            address = return_address.wrapping_sub(1);
            // If the rule has read the return address, it has read that first.
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

    /// Appends the frames of an interrupted thread up to `mark`, leaf first.
    ///
    /// If the walk is lost, the frames up to that point are correct and stay.
    pub(crate) fn walk_interrupted(
        &mut self,
        thread: &InterruptedThread<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        // Nothing may be allocated while the loader's lock is held, so the room for all frames is allocated here. Each
        // frame is at least one word above the previous one, except the leaf and its caller.
        let most = thread.stack.len() / size_of::<usize>() + 2;
        frames.reserve(most.min(limit));
        // The thread has continued, and its code may be unloaded. The loader unloads nothing while `while_loaded` runs
        // its callback. But between `refresh` and the callback it may have loaded or unloaded a library.
        let mut reach = Reach::Lost;
        for _ in 0..ATTEMPTS {
            self.refresh();
            let walked = tables::while_loaded(|| {
                let is_current = self.has_tables_of(Generation::now());
                is_current.then(|| self.walk_loaded(thread, mark, limit, frames))
            });
            if let Some(walked) = walked.flatten() {
                reach = walked;
                break;
            }
        }
        // All other addresses are return addresses, which are behind the call. The address of the leaf is that of the
        // interrupted instruction itself, so it is moved behind that instruction's first byte.
        if let Some(leaf) = frames.first_mut() {
            leaf.ip.0 = leaf.ip.0.wrapping_add(1);
        }
        reach
    }

    fn walk_loaded(
        &mut self,
        thread: &InterruptedThread<'_>,
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

    /// Returns `true` if the tables say that the last frame has no caller.
    fn is_end(&mut self, frames: &[PhysicalFrame]) -> bool {
        let (Some((_, tables)), [_, .., last]) = (&self.tables, frames) else {
            return false;
        };
        let address = last.ip.0.wrapping_sub(1);
        tables.is_outermost(address, &mut self.context)
    }

    /// Walks from a leaf for which the tables have no rule.
    ///
    /// The stubs through which one library calls another have no rule. They have no frame either, so the return address
    /// is probably still where the call left it. The walk accepts this guess only if it then reaches the mark.
    fn walk_from_stub(
        &mut self,
        thread: &InterruptedThread<'_>,
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
            Some(link) => (Some(authentication::strip(link)), 0),
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

    /// Appends the frames from the function at `ip` up to `mark`, leaf first.
    ///
    /// If `frames` is empty, `ip` is the address of an instruction that is being executed. Otherwise it is a return
    /// address. If the walk is lost, the caller of the last frame is unknown.
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
        // A caller is looked up by an address within its call, which is one below the return address. The return
        // address itself may be the start of the next function, if the called function does not return.
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
            // Only a function whose return address is still in the link register can be without a frame. There is at
            // most one in a walk, so the walk ends.
            let caller = caller.filter(|(rule, above)| {
                *above > sp || (*above == sp && rule.is_return_address_in_register())
            });
            if let Some((_, above)) = caller
                && above > mark.0
            {
                return match mark.distance(StackPointer(sp)) {
                    Some(distance) if distance <= MAX_MARKED_FRAME => Reach::Mark,
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
                // An address outside of all code is no return address.
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

/// Returns `true` if the unwind tables say that the function to which `address` returns starts at `start`. If the
/// tables do not know the function, the result is `false`.
pub(super) fn is_in_function(address: ReturnAddress, start: usize) -> bool {
    let found = tables::while_loaded(|| {
        let tables = tables::loaded(Generation::now());
        tables.start_of_function_at(address.0.wrapping_sub(1))
    });
    found.flatten() == Some(start)
}

/// Returns a function that reads words of this thread's stack, from the stack pointer in `registers` up to `mark`.
#[inline(always)]
fn own_stack(registers: &Registers, mark: Mark) -> impl Fn(usize) -> Option<usize> + Copy + use<> {
    let lowest = registers.stack_pointer;
    move |address: usize| {
        let inside = lowest <= address && address.checked_add(size_of::<usize>())? <= mark.0;
        if !inside || !address.is_multiple_of(align_of::<usize>()) {
            return None;
        }
        // SAFETY: the check above has proved that the word lies between the stack pointer of a running function of this
        // thread and the stack pointer of the marked function, which is running too, so the word is mapped stack, and
        // that the address is aligned. If the stack was switched in between, the unwind tables still say that a running
        // function has saved a register at this address. The word belongs to no object that the compiler knows, so it
        // is read as an integer by a volatile read.
        Some(unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() })
    }
}

/// Returns the stack pointer of the function into which this is inlined.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: the instruction copies the stack pointer to an output register. It accesses no memory and changes no
    // other register and no flag, as the options state.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    sp
}

/// Returns the instruction pointer and the registers of the function into which this is inlined.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn here() -> (usize, Registers) {
    let (ip, stack_pointer, frame_pointer);
    // SAFETY: the instructions copy three registers to output registers. They access no memory and change no other
    // register and no flag, as the options state.
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

/// Returns the instruction pointer and the registers of the function into which this is inlined.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn here() -> (usize, Registers) {
    let (ip, stack_pointer, frame_pointer, link);
    // SAFETY: the instructions copy four registers to output registers. They access no memory and change no other
    // register and no flag, as the options state.
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

    /// Returns an interrupted thread with this copy of its stack, which begins at the red zone.
    fn thread(stack: &[u8], is_cut: bool) -> InterruptedThread<'_> {
        InterruptedThread {
            ip: 0,
            stack_pointer: SP,
            frame_pointer: 0,
            link: None,
            general: &[],
            is_fiber: false,
            stack,
            is_cut,
        }
    }

    #[test]
    fn only_copied_words_are_read() {
        let words = [1_usize, 2, 3].map(usize::to_ne_bytes);
        let stack = words.as_flattened();
        let thread = thread(stack, false);
        let start = SP - RED_ZONE;
        assert_eq!(thread.read(start), Some(1));
        assert_eq!(thread.read(start + 16), Some(3));
        for outside in [0, start - 8, start - 1, start + 17, start + 24, usize::MAX] {
            assert_eq!(thread.read(outside), None, "{outside:#x}");
        }
        // An address in the middle of a word.
        assert!(thread.read(start + 9).is_some());
        let empty = super::tests::thread(&[], false);
        assert_eq!(empty.read(start), None);
    }

    #[test]
    fn addresses_behind_a_cut_copy_are_beyond() {
        let stack = [0; 1024];
        let end = SP - RED_ZONE + stack.len();
        let cut = thread(&stack, true);
        assert!(cut.is_beyond(end) && cut.is_beyond(end + 8));
        assert!(!cut.is_beyond(end - 8) && !cut.is_beyond(SP - RED_ZONE - 8));
        // These addresses belong to another stack.
        assert!(!cut.is_beyond(end + stack.len()) && !cut.is_beyond(usize::MAX));
        assert!(!thread(&stack, false).is_beyond(end));
    }

    #[test]
    fn a_walk_ends_at_the_outermost_copied_mark() {
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
