//! The lists of tasks that runtimes and local sets keep.

use std::collections::BTreeMap;

use super::header::{Header, Layout};
use super::vtables::Vtables;
use crate::address::Address;
use crate::debug::Kind;
use crate::hash::FastSet;
use crate::value::{Reader, Value};

/// The list of all tasks of a runtime or of a local set.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    /// Its address.
    pub(super) address: Address,
    value: Value,
    /// Its number, which no other list of the process has.
    pub(super) id: u64,
    /// The value with the number of references to `shared`, if there is such a number.
    inner: Value,
    /// The state that the threads of the runtime share.
    pub(super) shared: Value,
}

/// The tasks in a list.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) headers: Vec<Header>,
    pub(super) missing: BTreeMap<String, usize>,
}

/// The largest number of lists that one list is divided into.
const SHARDS: u64 = 1 << 20;

impl List {
    /// Returns the list that a task is in, if the task says so and the list agrees.
    pub(super) fn of(reader: &Reader<'_, '_>, header: &Header) -> Option<Self> {
        if header.owner == 0 {
            return None;
        }
        let scheduler = reader.find(header.value(), "scheduler")?;
        let inner = reader.follow(scheduler)?;
        let shared = reader.follow_arc(scheduler)?;
        let value = reader.find(shared, "owned")?;
        let list = Self {
            address: value.address,
            value,
            id: header.owner,
            inner,
            shared,
        };
        list.is_alive(reader).then_some(list)
    }

    /// Returns `true` if the runtime or the local set has not ended. Its memory may be left after that.
    pub(super) fn is_alive(&self, reader: &Reader<'_, '_>) -> bool {
        let count = reader.find(self.inner, "strong");
        let is_counted = count.is_none_or(|count| {
            let count = reader.number(count);
            count.is_some_and(|count| (1..1 << 32).contains(&count))
        });
        let id = || reader.number(reader.find(self.value, "id")?);
        is_counted && id() == Some(self.id)
    }

    /// Follows the list from task to task.
    pub(super) fn walk(
        &self,
        reader: &Reader<'_, '_>,
        vtables: &Vtables,
        layout: &Layout,
        most: usize,
    ) -> Walked {
        let mut walked = Walked::default();
        let mut seen = FastSet::default();
        for head in self.heads(reader) {
            let mut next = reader.word(head);
            if next.is_none() {
                // This is no list of a runtime, but the remains of one in freed memory.
                return walked;
            }
            loop {
                let Some(address) = next else {
                    walked.miss("a list of tasks leads to memory that cannot be read");
                    break;
                };
                if address == 0 || seen.len() >= most {
                    break;
                }
                let address = Address::new(address);
                if !seen.insert(address) {
                    walked.miss("a list of tasks leads in a cycle");
                    break;
                }
                let vtable = reader.word(address.offset(layout.vtable));
                match Header::read(reader, vtables, layout, address) {
                    Some(header) if header.owner == self.id => walked.headers.push(header),
                    Some(_) => {
                        walked.miss("a task was moved while the list was read");
                        break;
                    }
                    None => walked.miss("the type of a task is not in the debug info"),
                }
                let trailer = vtable
                    .and_then(|vtable| reader.word(Address::new(vtable).offset(layout.trailer)));
                next = trailer
                    .and_then(|trailer| reader.word(address.offset(trailer).offset(layout.next)));
            }
        }
        walked
    }

    /// Returns where the pointers to the first tasks are: one, or one for each shard.
    fn heads(&self, reader: &Reader<'_, '_>) -> Vec<Address> {
        let Some(lists) = reader.find(self.value, "lists") else {
            let head = reader.find(self.value, "head");
            return head.into_iter().map(|head| head.address).collect();
        };
        let heads = || {
            let pointer = reader.find(lists, "data_ptr")?;
            let Kind::Pointer(Some(element)) = reader.ty(pointer)?.kind else {
                return None;
            };
            let first = reader.pointer(pointer)?;
            let count = reader.number(reader.find(lists, "length")?)?.min(SHARDS);
            let size = reader.types.get(element)?.size;
            let (offset, _) = reader.offset(element, "head")?;
            let at = |number: u64| first.offset(number.wrapping_mul(size)).offset(offset);
            Some((0..count).map(at).collect())
        };
        heads().unwrap_or_default()
    }
}

impl Walked {
    fn miss(&mut self, reason: &str) {
        *self.missing.entry(reason.to_owned()).or_default() += 1;
    }
}
