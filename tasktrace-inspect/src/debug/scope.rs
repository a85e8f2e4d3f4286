//! The namespaces around entries.

use std::hash::{DefaultHasher, Hash, Hasher};

use gimli::constants as dw;

use super::unit::{Entry, Unit};

/// The namespaces of a unit, by offset.
#[derive(Debug, Default)]
pub(super) struct Scopes<'d> {
    scopes: Vec<Scope<'d>>,
}

#[derive(Debug)]
struct Scope<'d> {
    start: usize,
    end: usize,
    name: &'d str,
    parent: Option<usize>,
}

impl<'d> Scopes<'d> {
    /// Reads the namespaces of a unit.
    pub(super) fn new(unit: &Unit<'d>) -> Self {
        let mut scopes = Self::default();
        // An error ends the list: the namespaces that were read before it are kept.
        let _ = scopes.read(unit);
        scopes
    }

    fn read(&mut self, unit: &Unit<'d>) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(None)?;
        let mut entry = Entry::null();
        let mut open: Vec<(isize, usize)> = Vec::new();
        while !entries.is_empty() {
            let offset = entries.next_offset().0;
            let depth = entries.next_depth();
            while let Some((_, index)) = open.pop_if(|scope| scope.0 >= depth) {
                self.scopes[index].end = offset;
            }
            let before = entries.clone();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            if abbreviation.tag() != dw::DW_TAG_namespace {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            entries = before;
            entries.read_entry(&mut entry)?;
            let index = self.scopes.len();
            self.scopes.push(Scope {
                start: offset,
                end: usize::MAX,
                name: unit.text(&entry, dw::DW_AT_name).unwrap_or_default(),
                parent: open.last().map(|scope| scope.1),
            });
            if entry.has_children() {
                open.push((depth, index));
            } else {
                self.scopes[index].end = offset;
            }
        }
        Ok(())
    }

    /// Returns the number of the innermost namespace around an offset.
    fn innermost(&self, offset: usize) -> Option<usize> {
        let after = self.scopes.partition_point(|scope| scope.start <= offset);
        let mut index = after.checked_sub(1);
        while let Some(scope) = index.and_then(|index| self.scopes.get(index)) {
            if offset < scope.end {
                return index;
            }
            index = scope.parent;
        }
        None
    }

    /// Returns the namespaces around the entry at an offset of the unit, from the outermost.
    pub(super) fn of(&self, offset: usize) -> Vec<&'d str> {
        let mut index = self.innermost(offset);
        let mut names = Vec::new();
        while let Some(scope) = index.and_then(|index| self.scopes.get(index)) {
            names.push(scope.name);
            index = scope.parent;
        }
        names.reverse();
        names
    }
}

/// Returns a hash of a path. Coroutines are few enough for 64 bits.
pub(super) fn hash_of<'n>(namespaces: impl Iterator<Item = &'n str>, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for namespace in namespaces {
        namespace.hash(&mut hasher);
    }
    name.hash(&mut hasher);
    hasher.finish()
}

/// Returns the namespaces up to the function: those of its closures and blocks are left out.
pub(super) fn function_of<'n, 'd>(names: &'n [&'d str]) -> &'n [&'d str] {
    let is_inner = |name: &&str| name.starts_with("{async_") || name.starts_with("{closure");
    let end = names.iter().position(is_inner).unwrap_or(names.len());
    &names[..end]
}
