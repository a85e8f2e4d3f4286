//! Reduces a row of an unwind table to the rule that finds a caller, and caches such rules.

use gimli::{CfaRule, Register, RegisterRule, UnwindTableRow};

use super::super::fibonacci_hash;
use super::Registers;
use super::authentication;

/// The numbers of the registers that rules are about.
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

/// A rule that finds the caller of a function that is at a certain address. It is the needed part of a row of the
/// unwind table. All numbers are in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnwindRule {
    base: Base,
    /// The distance from the base up to the stack pointer of the caller.
    caller: u16,
    /// The distance from the stack pointer of the caller down to its saved frame pointer, or 0 if that is in its
    /// register.
    frame_pointer: u16,
    /// The distance from the stack pointer of the caller down to the return address, or 0 if that is in its register.
    return_address: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    StackPointer,
    FramePointer,
}

impl UnwindRule {
    /// Creates the rule of a row. Returns `None` for the rows of hand-written assembly, of frames of half a megabyte,
    /// and of a function that has no caller.
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

    /// Returns `true` if the caller is found by the frame pointer.
    pub(super) fn is_from_frame_pointer(self) -> bool {
        self.base == Base::FramePointer
    }

    /// Returns `true` if the return address is still in the register in which the call left it.
    pub(super) fn is_return_address_in_register(self) -> bool {
        self.return_address == 0
    }

    /// Returns the stack pointer of the caller.
    #[inline]
    pub(super) fn caller(self, registers: &Registers) -> Option<usize> {
        let base = match self.base {
            Base::StackPointer => registers.stack_pointer,
            Base::FramePointer => registers.frame_pointer,
        };
        base.checked_add(usize::from(self.caller) * WORD)
    }

    /// Replaces the registers with those of the caller, whose stack pointer is `caller`. Returns the return address.
    #[inline]
    pub(super) fn unwind(
        self,
        caller: usize,
        registers: &mut Registers,
        read: impl Fn(usize) -> Option<usize>,
    ) -> Option<usize> {
        let saved = |words: u16| read(caller.checked_sub(usize::from(words) * WORD)?);
        // A call overwrites the link register, so it has the return address of the leaf only.
        let link = registers.link.take();
        let return_address = match self.return_address {
            0 => link?,
            words => saved(words)?,
        };
        if self.frame_pointer != 0 {
            registers.frame_pointer = saved(self.frame_pointer)?;
        }
        registers.stack_pointer = caller;
        Some(authentication::strip(return_address))
    }
}

/// Returns `true` if the row belongs to a function that has no caller.
pub(super) fn is_outermost(row: &UnwindTableRow<usize>) -> bool {
    row.register(register::RETURN_ADDRESS) == Some(RegisterRule::Undefined)
}

fn words(bytes: i64) -> Option<u16> {
    let bytes = usize::try_from(bytes).ok()?;
    let words = bytes.is_multiple_of(WORD).then_some(bytes / WORD)?;
    u16::try_from(words).ok()
}

/// A cache of the rules that were used last.
///
/// Each address belongs to a set of four rules, which is one line of the processor's cache. The 200 functions of a deep
/// stack all fit in 499 of 500 programs.
pub(super) struct RuleCache {
    sets: Box<[CacheSet]>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct CacheSet([CachedRule; 4]);

#[derive(Clone, Copy)]
struct CachedRule {
    /// The address, or 0 in an empty entry.
    address: usize,
    rule: UnwindRule,
}

const SETS_LOG2: u32 = 10;

impl Default for RuleCache {
    fn default() -> Self {
        let none = CachedRule {
            address: 0,
            rule: UnwindRule {
                base: Base::StackPointer,
                caller: 0,
                frame_pointer: 0,
                return_address: 0,
            },
        };
        Self {
            sets: vec![CacheSet([none; 4]); 1 << SETS_LOG2].into(),
        }
    }
}

impl RuleCache {
    /// Returns the cached rule for an address, which must not be 0. If there is none, calls `rule` and caches its
    /// result.
    #[inline]
    pub(super) fn get_or_insert(
        &mut self,
        address: usize,
        rule: impl FnOnce() -> Option<UnwindRule>,
    ) -> Option<UnwindRule> {
        let hash = fibonacci_hash(address as u64);
        let CacheSet(entries) = &mut self.sets[(hash >> (u64::BITS - SETS_LOG2)) as usize];
        if let Some(entry) = entries.iter().find(|entry| entry.address == address) {
            return Some(entry.rule);
        }
        let rule = rule()?;
        // The oldest rule is evicted.
        entries.rotate_right(1);
        entries[0] = CachedRule { address, rule };
        Some(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(caller: u16) -> UnwindRule {
        UnwindRule {
            base: Base::StackPointer,
            caller,
            frame_pointer: 0,
            return_address: 1,
        }
    }

    #[test]
    fn the_rules_of_a_deep_stack_stay_cached() {
        let mut rules = RuleCache::default();
        // Calls in consecutive functions of about a hundred bytes.
        let address = |at: u16| 0x5555_5555_0000 + usize::from(at) * 103;
        for at in 0..1000 {
            rules.get_or_insert(address(at), || Some(rule(at)));
        }
        for at in 0..1000 {
            let known = rules.get_or_insert(address(at), || panic!("{at} was evicted"));
            assert_eq!(known, Some(rule(at)));
        }
    }

    #[test]
    fn offsets_that_a_rule_cannot_hold_are_refused() {
        assert_eq!(words(16), Some(2));
        assert_eq!(words(-8), None);
        assert_eq!(words(12), None);
        assert_eq!(words(8 * 0x1_0000), None);
    }

    #[test]
    fn the_link_register_is_used_for_one_frame_only() {
        let mut registers = Registers {
            stack_pointer: 0x1000,
            frame_pointer: 0x2000,
            link: Some(7),
        };
        let leaf = UnwindRule {
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
    fn saved_registers_are_read_below_the_stack_pointer_of_the_caller() {
        let mut registers = Registers {
            stack_pointer: 0x1000,
            frame_pointer: 0x2000,
            link: None,
        };
        let rule = UnwindRule {
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
