//! How to get from a function to its caller, and the memory of it.

use gimli::{CfaRule, Register, RegisterRule, UnwindTableRow};

use super::Registers;

/// The registers of which a rule says where they are.
#[cfg(target_arch = "x86_64")]
mod register {
    use gimli::{Register, X86_64};

    pub(super) const STACK_POINTER: Register = X86_64::RSP;
    pub(super) const FRAME_POINTER: Register = X86_64::RBP;
    pub(super) const RETURN_ADDRESS: Register = X86_64::RA;
}
#[cfg(target_arch = "aarch64")]
mod register {
    use gimli::{AArch64, Register};

    pub(super) const STACK_POINTER: Register = AArch64::SP;
    pub(super) const FRAME_POINTER: Register = AArch64::X29;
    pub(super) const RETURN_ADDRESS: Register = AArch64::X30;
}

const WORD: usize = size_of::<usize>();

/// How to find the caller of a function that is at a certain address: what is left of a row of its
/// unwind table. The numbers are words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    base: Base,
    /// The stack pointer of the caller, up from the base.
    caller: u16,
    /// Where the frame pointer of the caller is saved, down from its stack pointer. 0: it is in
    /// its register.
    frame_pointer: u16,
    /// Where the return address is saved, down from the stack pointer of the caller. 0: it is in
    /// its register.
    return_address: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    StackPointer,
    FramePointer,
}

impl Rule {
    /// `None` for the rules of hand-written assembly, of frames of half a megabyte, and of the
    /// function that has no caller.
    pub(super) fn of(row: &UnwindTableRow<usize>) -> Option<Self> {
        let (base, caller) = match *row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => match register {
                register::STACK_POINTER => (Base::StackPointer, offset),
                register::FRAME_POINTER => (Base::FramePointer, offset),
                _ => return None,
            },
            CfaRule::Expression(_) => return None,
        };
        let saved = |register: Register| match row.register(register) {
            None | Some(RegisterRule::SameValue) => Some(0),
            Some(RegisterRule::Offset(offset)) => words(offset.checked_neg()?),
            Some(_) => None,
        };
        Some(Self {
            base,
            caller: words(caller)?,
            frame_pointer: saved(register::FRAME_POINTER)?,
            return_address: saved(register::RETURN_ADDRESS)?,
        })
    }

    /// Whether the caller is found from the frame pointer.
    pub(super) fn is_from_frame_pointer(self) -> bool {
        self.base == Base::FramePointer
    }

    /// Whether the return address is still where the call left it: in a register.
    pub(super) fn is_return_address_in_register(self) -> bool {
        self.return_address == 0
    }

    /// The stack pointer of the caller.
    #[inline]
    pub(super) fn caller(self, registers: &Registers) -> Option<usize> {
        let base = match self.base {
            Base::StackPointer => registers.stack_pointer,
            Base::FramePointer => registers.frame_pointer,
        };
        base.checked_add(usize::from(self.caller) * WORD)
    }

    /// Makes those of the caller, whose stack pointer is known, of the registers. Returns where it
    /// will continue.
    #[inline]
    pub(super) fn unwind(
        self,
        caller: usize,
        registers: &mut Registers,
        read: impl Fn(usize) -> Option<usize>,
    ) -> Option<usize> {
        let saved = |words: u16| read(caller.checked_sub(usize::from(words) * WORD)?);
        // The callee has overwritten the register: it is good for one frame.
        let link = registers.link.take();
        let return_address = match self.return_address {
            0 => link?,
            words => saved(words)?,
        };
        if self.frame_pointer != 0 {
            registers.frame_pointer = saved(self.frame_pointer)?;
        }
        registers.stack_pointer = caller;
        Some(return_address)
    }
}

/// Whether it is the row of a function that has no caller.
pub(super) fn is_outermost(row: &UnwindTableRow<usize>) -> bool {
    row.register(register::RETURN_ADDRESS) == Some(RegisterRule::Undefined)
}

fn words(bytes: i64) -> Option<u16> {
    let bytes = usize::try_from(bytes).ok()?;
    let words = bytes.is_multiple_of(WORD).then_some(bytes / WORD)?;
    u16::try_from(words).ok()
}

/// The rules for the addresses that were asked for last.
///
/// An address has its place in one set of four, which is a cache line. All the 200 functions of a
/// deep stack find room in 499 of 500 programs.
pub(super) struct Rules {
    sets: Box<[Set]>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Set([Entry; 4]);

#[derive(Clone, Copy)]
struct Entry {
    /// 0 if there is none.
    address: usize,
    rule: Rule,
}

const SETS_LOG2: u32 = 10;

impl Default for Rules {
    fn default() -> Self {
        let none = Entry {
            address: 0,
            rule: Rule {
                base: Base::StackPointer,
                caller: 0,
                frame_pointer: 0,
                return_address: 0,
            },
        };
        Self {
            sets: vec![Set([none; 4]); 1 << SETS_LOG2].into(),
        }
    }
}

impl Rules {
    /// The rule for an address, which is not 0.
    #[inline]
    pub(super) fn get_or_insert(
        &mut self,
        address: usize,
        rule: impl FnOnce() -> Option<Rule>,
    ) -> Option<Rule> {
        // Fibonacci hashing: 2⁶⁴ divided by the golden ratio.
        let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let Set(entries) = &mut self.sets[(hash >> (u64::BITS - SETS_LOG2)) as usize];
        if let Some(entry) = entries.iter().find(|entry| entry.address == address) {
            return Some(entry.rule);
        }
        let rule = rule()?;
        // The oldest goes.
        entries.rotate_right(1);
        entries[0] = Entry { address, rule };
        Some(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(caller: u16) -> Rule {
        Rule {
            base: Base::StackPointer,
            caller,
            frame_pointer: 0,
            return_address: 1,
        }
    }

    #[test]
    fn the_rules_of_a_deep_stack_are_remembered() {
        let mut rules = Rules::default();
        // Calls in functions of about a hundred bytes, one after the other.
        let address = |at: u16| 0x5555_5555_0000 + usize::from(at) * 103;
        for at in 0..1000 {
            rules.get_or_insert(address(at), || Some(rule(at)));
        }
        for at in 0..1000 {
            let known = rules.get_or_insert(address(at), || panic!("{at} was forgotten"));
            assert_eq!(known, Some(rule(at)));
        }
    }

    #[test]
    fn what_does_not_fit_in_a_rule_is_no_rule() {
        assert_eq!(words(16), Some(2));
        assert_eq!(words(-8), None);
        assert_eq!(words(12), None);
        assert_eq!(words(8 * 0x1_0000), None);
    }

    #[test]
    fn a_return_address_in_its_register_is_good_for_one_frame() {
        let mut registers = Registers {
            stack_pointer: 0x1000,
            frame_pointer: 0x2000,
            link: Some(7),
        };
        let leaf = Rule {
            return_address: 0,
            ..rule(2)
        };
        let caller = leaf.caller(&registers).unwrap();
        assert_eq!(caller, 0x1010);
        assert_eq!(leaf.unwind(caller, &mut registers, |_| None), Some(7));
        assert_eq!(registers.stack_pointer, 0x1010);
        assert_eq!(leaf.unwind(0x1020, &mut registers, |_| None), None);
    }

    #[test]
    fn registers_are_read_from_below_the_caller() {
        let mut registers = Registers {
            stack_pointer: 0x1000,
            frame_pointer: 0x2000,
            link: None,
        };
        let rule = Rule {
            base: Base::FramePointer,
            caller: 2,
            frame_pointer: 2,
            return_address: 1,
        };
        let caller = rule.caller(&registers).unwrap();
        assert_eq!(caller, 0x2010);
        let return_address = rule.unwind(caller, &mut registers, |address| Some(address + 1));
        assert_eq!(return_address, Some(0x2009));
        assert_eq!(registers.frame_pointer, 0x2001);
        assert_eq!(registers.stack_pointer, 0x2010);
    }
}
