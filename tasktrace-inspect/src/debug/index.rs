//! One pass over all entries, for what is looked up by address: vtables, and the functions that poll tasks.
//!
//! Everything else is reached from there, type by type, so that the index stays small.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gimli::{AttributeValue, constants as dw};

use super::TypeId;
use super::scope::hash_of;
use super::unit::{Entry, Unit, UnitSource};

/// Entries by address, as they are before the program is moved.
#[derive(Debug, Default)]
pub(crate) struct Index<'d> {
    /// The concrete type of each vtable.
    pub(crate) vtables: HashMap<u64, TypeId>,
    /// The functions that poll tokio's tasks.
    pub(crate) polls: HashMap<u64, Poll<'d>>,
    /// `Cell<T, S>` of tokio, by `T` and `S` in the same unit.
    pub(crate) cells: HashMap<(TypeId, TypeId), TypeId>,
    /// The same by the text `T, S>`, for functions in units that have no such type.
    pub(crate) cells_by_name: HashMap<&'d str, TypeId>,
    /// The linkage names of coroutines in methods, by the paths of the methods. Crates may have the same name, so a path
    /// may be that of several methods.
    pub(crate) methods: HashMap<String, Vec<&'d str>>,
    /// The functions in which threads block on futures: their addresses, and types of futures.
    pub(crate) block_on: Vec<BlockOn>,
    /// The bodies of coroutines, by the hashes of their paths. Several may have the same path, like methods.
    pub(crate) bodies: HashMap<u64, Vec<TypeId>>,
    /// Guards of locks may own a reference to the `Arc` that the lock is in.
    pub(crate) has_owned_guards: bool,
    /// The state of an `RwLock` of async-lock.
    pub(crate) async_rw_lock: Option<TypeId>,
    /// The crates that were compiled in the directory of the program. Cargo compiles the members of a workspace in its
    /// root, and other packages in their own directories.
    pub(crate) own_crates: BTreeSet<&'d str>,
    /// The variables from which tokio takes the numbers of its lists of tasks: one for each version of tokio.
    pub(crate) list_counters: BTreeSet<u64>,
    /// The number of structures.
    pub(crate) structures: usize,
    /// The number of coroutines.
    pub(crate) coroutines: usize,
    /// The number of units that another compiler run than that of the standard library wrote.
    pub(crate) own_units: usize,
    /// The number of structures in these units.
    pub(crate) own_structures: usize,
    /// The number of units that the Rust compiler wrote.
    pub(crate) rust_units: usize,
    /// The number of units whose entries are in other files that were not found.
    pub(crate) split_units: usize,
    /// The number of units that could not be read to the end.
    pub(crate) damaged_units: usize,
    /// The types whose methods `RawTask::<F, T, S, M>::run` of async-task are, by the addresses of these methods. Names
    /// would not do: a program may have two futures of one name, from its library and from itself.
    pub(crate) runs: HashMap<u64, TypeId>,
    /// The crates of the units, with the directories in which they were compiled.
    crates: BTreeSet<(&'d str, &'d [u8])>,
    /// The directories in which crates with a function `main` were compiled.
    mains: BTreeSet<&'d [u8]>,
    by_entry: HashMap<TypeId, Poll<'d>>,
    runs_by_entry: HashMap<TypeId, TypeId>,
    /// The declarations of inlined methods, by the entries of these methods without addresses, which their instances
    /// refer to.
    declarations: HashMap<TypeId, TypeId>,
    blocks_by_entry: HashMap<TypeId, Candidates>,
    instances: Vec<(Range<u64>, TypeId, TypeId)>,
}

/// The first two generic arguments of a function that blocks on a future. One of them is the future: in
/// `block_on::<T, impl Future<Output = T>>`, it is the second.
type Candidates = [Option<TypeId>; 2];

/// A function that blocks its thread on a future, or into which such a function was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockOn {
    /// The addresses of the function.
    pub(crate) range: Range<u64>,
    /// Its entry.
    pub(crate) function: TypeId,
    /// The type of the future.
    pub(crate) future: TypeId,
}

/// A function `tokio::runtime::task::raw::poll::<T, S>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poll<'d> {
    /// The generic arguments as text.
    pub(crate) arguments: &'d str,
    /// The type of the future.
    pub(crate) future: TypeId,
    /// The type of the scheduler.
    pub(crate) scheduler: TypeId,
}

impl<'d> Index<'d> {
    /// Reads the entries of all units, on all processors.
    pub(super) fn new(units: &[UnitSource<'d>]) -> Self {
        let workers = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(8);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut index = Index::default();
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                index.read(unit);
            }
            index
        };
        let mut index = thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut index = work();
            for other in others {
                match other.join() {
                    Ok(other) => index.merge(other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            index
        });
        for (range, function, origin) in std::mem::take(&mut index.instances) {
            let origin = *index.declarations.get(&origin).unwrap_or(&origin);
            if let Some(poll) = index.by_entry.get(&origin) {
                index.polls.entry(range.start).or_insert(*poll);
            } else if let Some(raw_task) = index.runs_by_entry.get(&origin) {
                index.runs.entry(range.start).or_insert(*raw_task);
            } else if let Some(candidates) = index.blocks_by_entry.get(&origin).copied() {
                index.add_block_on(&range, function, candidates);
            }
        }
        let crates = std::mem::take(&mut index.crates).into_iter();
        let own = crates.filter(|(_, directory)| index.mains.contains(directory));
        index.own_crates = own.map(|(name, _)| name).collect();
        index.by_entry = HashMap::new();
        index.runs_by_entry = HashMap::new();
        index.declarations = HashMap::new();
        index.blocks_by_entry = HashMap::new();
        index
    }

    /// Adds a function that blocks on one of the candidates, once for each of them.
    fn add_block_on(&mut self, range: &Range<u64>, function: TypeId, candidates: Candidates) {
        let functions = candidates.into_iter().flatten().map(|future| BlockOn {
            range: range.clone(),
            function,
            future,
        });
        self.block_on.extend(functions);
    }

    fn merge(&mut self, other: Self) {
        self.vtables.extend(other.vtables);
        self.polls.extend(other.polls);
        self.cells.extend(other.cells);
        self.cells_by_name.extend(other.cells_by_name);
        for (method, names) in other.methods {
            self.methods.entry(method).or_default().extend(names);
        }
        self.block_on.extend(other.block_on);
        for (path, bodies) in other.bodies {
            self.bodies.entry(path).or_default().extend(bodies);
        }
        self.has_owned_guards |= other.has_owned_guards;
        self.async_rw_lock = self.async_rw_lock.or(other.async_rw_lock);
        self.list_counters.extend(other.list_counters);
        self.crates.extend(other.crates);
        self.mains.extend(other.mains);
        self.structures += other.structures;
        self.coroutines += other.coroutines;
        self.own_units += other.own_units;
        self.own_structures += other.own_structures;
        self.rust_units += other.rust_units;
        self.split_units += other.split_units;
        self.damaged_units += other.damaged_units;
        self.runs.extend(other.runs);
        self.by_entry.extend(other.by_entry);
        self.runs_by_entry.extend(other.runs_by_entry);
        self.declarations.extend(other.declarations);
        self.blocks_by_entry.extend(other.blocks_by_entry);
        self.instances.extend(other.instances);
    }

    fn read(&mut self, source: &UnitSource<'d>) {
        let Some(unit) = source.read() else {
            self.damaged_units += 1;
            return;
        };
        if source.skeleton.is_none() && unit.dwo_name().is_ok_and(|name| name.is_some()) {
            self.split_units += 1;
            return;
        }
        let is_rust = is_rust(&unit);
        self.rust_units += usize::from(is_rust);
        let is_std = unit.comp_dir.is_some_and(|directory| {
            let directory = directory.slice();
            directory.starts_with(b"/rustc/") || directory.starts_with(b"/rust/deps/")
        });
        let is_own = is_rust && !is_std;
        let directory = unit.comp_dir.map_or(&[][..], |directory| directory.slice());
        if is_own && let Some(name) = crate_of(&unit) {
            self.crates.insert((name, directory));
        }
        self.own_units += usize::from(is_own);
        let before = self.structures;
        let mut pass = Pass {
            index: self,
            unit: &unit,
            scopes: Vec::new(),
            raw_task: None,
            parameters: None,
            function: None,
            inlined: Vec::new(),
        };
        if pass.run().is_err() {
            self.damaged_units += 1;
        }
        if is_own {
            self.own_structures += self.structures - before;
        }
    }
}

/// Returns `true` for units that the Rust compiler wrote.
fn is_rust(unit: &Unit<'_>) -> bool {
    let root = unit.entry(unit.header.root_offset());
    root.is_ok_and(|root| {
        let language = root.attr_value(dw::DW_AT_language);
        let producer = || unit.text(&root, dw::DW_AT_producer);
        matches!(language, Some(AttributeValue::Language(dw::DW_LANG_Rust)))
            || producer().is_some_and(|it| it.contains("rustc"))
    })
}

/// Returns the name of a unit, without the file of its crate. Returns `None` for packages in directories that have a
/// version in their names: some build tools compile all packages in one directory.
fn unit_name<'d>(unit: &Unit<'d>) -> Option<&'d str> {
    let root = unit.entry(unit.header.root_offset()).ok()?;
    let name = unit.text(&root, dw::DW_AT_name)?;
    let (file, name) = name.rsplit_once("/@/")?;
    let is_versioned = file.split('/').any(|part| {
        let after = part.rsplit_once('-').map_or("", |(_, after)| after);
        after.contains('.') && after.starts_with(|char: char| char.is_ascii_digit())
    });
    (!is_versioned).then_some(name)
}

/// Returns the crate of a unit, with which its name begins: `src/main.rs/@/shop.5e092c97-cgu.0`. Incremental builds give
/// units other names: `src/main.rs/@/0o4wvxvhmuj6tg3mb6kcfn377`.
fn crate_of<'d>(unit: &Unit<'d>) -> Option<&'d str> {
    unit_name(unit)?.split_once('.').map(|(name, _)| name)
}

/// The pass over the entries of a unit.
struct Pass<'p, 'd> {
    index: &'p mut Index<'d>,
    unit: &'p Unit<'d>,
    /// The namespaces around the current entry, with their depths.
    scopes: Vec<(isize, &'d str)>,
    /// The `RawTask<F, T, S, M>` of async-task around the current entry, with its depth.
    raw_task: Option<(isize, TypeId)>,
    /// The entry whose generic arguments come next.
    parameters: Option<Parameters<'d>>,
    /// The addresses and the entry of the function around the current entry.
    function: Option<(Range<u64>, TypeId)>,
    /// Functions that were inlined into others: those others, and the entries of the former.
    inlined: Vec<((Range<u64>, TypeId), TypeId)>,
}

struct Parameters<'d> {
    depth: isize,
    entry: TypeId,
    arguments: &'d str,
    of: Generic,
    first: Option<TypeId>,
    second: Option<TypeId>,
}

#[derive(Clone, Copy)]
enum Generic {
    Cell,
    /// The addresses of the function, if this is not its declaration.
    Poll(Option<(u64, u64)>),
    BlockOn(Option<(u64, u64)>),
}

/// The beginnings of the names of guards that own a reference to the `Arc` of their lock: those of tokio, and those of
/// async-lock.
const OWNED_GUARDS: &[&str] = &[
    "OwnedMutexGuard<",
    "OwnedMappedMutexGuard<",
    "OwnedRwLock",
    "MutexGuardArc<",
    "RwLockUpgradableReadGuardArc<",
    "RwLockWriteGuardArc<",
];

/// The namespaces of tokio's functions that poll tasks, and of its cells.
const POLL: &[&str] = &["tokio", "runtime", "task", "raw"];
const CELL: &[&str] = &["tokio", "runtime", "task", "core"];

/// The variable of tokio with the number of the next list of tasks, and its namespace.
const LIST_COUNTER: &str = "NEXT_OWNED_TASKS_ID";
const LIST: &[&str] = &["tokio", "runtime", "task", "list"];

/// The namespace of the state of an `RwLock` of async-lock.
const ASYNC_RW_LOCK: &[&str] = &["async_lock", "rwlock", "raw"];

/// The namespace of the tasks of async-task.
const RAW_TASK: &[&str] = &["async_task", "raw"];

impl<'d> Pass<'_, 'd> {
    fn run(&mut self) -> gimli::Result<()> {
        let mut entries = self.unit.entries_raw(None)?;
        let mut entry = Entry::null();
        // Attributes are read into a list that is used again, and only for the entries that matter.
        let mut attributes = entries.clone();
        while !entries.is_empty() {
            let offset = entries.next_offset();
            let depth = entries.next_depth();
            attributes.clone_from(&entries);
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            while self.scopes.last().is_some_and(|scope| scope.0 >= depth) {
                self.scopes.pop();
            }
            self.raw_task = self.raw_task.filter(|it| it.0 < depth);
            if self.parameters.as_ref().is_some_and(|it| it.depth >= depth) {
                self.finish_parameters();
            }
            let matters = match abbreviation.tag() {
                dw::DW_TAG_namespace | dw::DW_TAG_structure_type | dw::DW_TAG_subprogram => true,
                dw::DW_TAG_variable => depth == 1 || self.is_in(LIST),
                dw::DW_TAG_inlined_subroutine => self.function.is_some(),
                dw::DW_TAG_template_type_parameter => self.parameters.is_some(),
                _ => false,
            };
            if !matters {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            attributes.read_entry(&mut entry)?;
            std::mem::swap(&mut entries, &mut attributes);
            let Some(id) = self.unit.id(offset) else {
                continue;
            };
            match entry.tag() {
                dw::DW_TAG_namespace => {
                    let name = self.name(&entry).unwrap_or_default();
                    self.scopes.push((depth, name));
                }
                dw::DW_TAG_structure_type => self.structure(&entry, id, depth),
                dw::DW_TAG_subprogram => self.function(&entry, id, depth),
                dw::DW_TAG_variable => self.variable(&entry),
                dw::DW_TAG_inlined_subroutine => {
                    let origin = self.reference(&entry, dw::DW_AT_abstract_origin);
                    self.inlined.extend(self.function.clone().zip(origin));
                }
                dw::DW_TAG_template_type_parameter => {
                    let parameter = self.reference(&entry, dw::DW_AT_type);
                    if let Some(parameters) = &mut self.parameters
                        && parameters.depth + 1 == depth
                    {
                        match parameters.first {
                            None => parameters.first = parameter,
                            Some(_) if parameters.second.is_none() => {
                                parameters.second = parameter;
                            }
                            Some(_) => {}
                        }
                    }
                }
                _ => {}
            }
        }
        self.finish_parameters();
        for ((range, function), origin) in std::mem::take(&mut self.inlined) {
            if let Some(candidates) = self.index.blocks_by_entry.get(&origin).copied() {
                self.index.add_block_on(&range, function, candidates);
            }
        }
        Ok(())
    }

    fn name(&self, entry: &Entry<'d>) -> Option<&'d str> {
        self.unit.text(entry, dw::DW_AT_name)
    }

    fn reference(&self, entry: &Entry<'d>, name: gimli::DwAt) -> Option<TypeId> {
        self.unit.reference(entry, name)
    }

    fn is_in(&self, namespaces: &[&str]) -> bool {
        let scopes = self.scopes.iter().map(|scope| scope.1);
        scopes.eq(namespaces.iter().copied())
    }

    fn structure(&mut self, entry: &Entry<'d>, id: TypeId, depth: isize) {
        self.index.structures += 1;
        // A declaration only names a type, and has no fields.
        if entry.attr_value(dw::DW_AT_declaration).is_some() {
            return;
        }
        let Some(name) = self.name(entry) else {
            return;
        };
        if name.starts_with("{async_") {
            self.index.coroutines += 1;
        } else if OWNED_GUARDS.iter().any(|guard| name.starts_with(guard)) {
            self.index.has_owned_guards = true;
        } else if let Some(arguments) = name.strip_prefix("Cell<")
            && self.is_in(CELL)
        {
            self.index.cells_by_name.insert(arguments, id);
            self.start_parameters(id, depth, arguments, Generic::Cell);
        } else if name.starts_with("RawTask<") && self.is_in(RAW_TASK) {
            self.raw_task = Some((depth, id));
        } else if name == "RawRwLock" && self.is_in(ASYNC_RW_LOCK) {
            self.index.async_rw_lock = Some(id);
        }
    }

    fn function(&mut self, entry: &Entry<'d>, id: TypeId, depth: isize) {
        let range = self.range(entry);
        self.function = range.map(|(start, end)| (start..end, id));
        let origin = self
            .reference(entry, dw::DW_AT_abstract_origin)
            .or_else(|| self.reference(entry, dw::DW_AT_specification));
        match (origin, range) {
            // The function that it is an instance of may come later.
            (Some(origin), Some((start, end))) => {
                self.index.instances.push((start..end, id, origin));
            }
            (Some(declaration), None) => {
                self.index.declarations.insert(id, declaration);
            }
            (None, _) => {}
        }
        let Some(name) = self.name(entry) else {
            return;
        };
        if name == "main"
            && let [(_, name)] = self.scopes[..]
        {
            let directory = self.unit.comp_dir.map_or(&[][..], |it| it.slice());
            self.index.mains.insert(directory);
            // In incremental builds, the names of units do not contain this.
            if unit_name(self.unit).is_some() {
                self.index.crates.insert((name, directory));
            }
        }
        let (plain, arguments) = name.split_once('<').unwrap_or((name, ""));
        if plain == "run"
            && let Some((_, raw_task)) = self.raw_task
        {
            self.index.runs_by_entry.insert(id, raw_task);
            if let Some((start, _)) = range {
                self.index.runs.insert(start, raw_task);
            }
        }
        let generic = match plain {
            "poll" if self.is_in(POLL) => Some(Generic::Poll(range)),
            name if self.blocks(name) => Some(Generic::BlockOn(range)),
            _ => None,
        };
        if let Some(generic) = generic {
            self.start_parameters(id, depth, arguments, generic);
        }
        if name.starts_with("{async_") {
            let scopes = self.scopes.iter().map(|scope| scope.1);
            let hash = hash_of(scopes, name);
            self.index.bodies.entry(hash).or_default().push(id);
        }
        if name.starts_with("{async_")
            && self.scopes.iter().any(|it| it.1.starts_with("{impl#"))
            && let Some(linkage) = self.unit.text(entry, dw::DW_AT_linkage_name)
        {
            let method: Vec<&str> = self.scopes.iter().map(|scope| scope.1).collect();
            let method = super::scope::function_of(&method).join("::");
            let names = self.index.methods.entry(method).or_default();
            names.push(linkage);
        }
    }

    /// Returns `true` for functions that block a thread on a future, and for closures in them: those may be all that
    /// is left of them after inlining.
    fn blocks(&self, name: &str) -> bool {
        let is_block_on = |name: &str| name == "block_on" || name == "block_on_inner";
        is_block_on(name)
            || name.starts_with("{closure#") && self.scopes.iter().any(|it| is_block_on(it.1))
    }

    /// Returns the addresses of a function. Functions that the linker has removed begin at zero.
    fn range(&self, entry: &Entry<'d>) -> Option<(u64, u64)> {
        let low = entry.attr_value(dw::DW_AT_low_pc)?;
        let low = self.unit.address(low)?;
        let high = match entry.attr_value(dw::DW_AT_high_pc)? {
            AttributeValue::Addr(address) => address,
            length => low.checked_add(length.udata_value()?)?,
        };
        (low != 0).then_some((low, high))
    }

    fn variable(&mut self, entry: &Entry<'d>) {
        let Some(name) = self.name(entry) else {
            return;
        };
        if name == LIST_COUNTER && self.is_in(LIST) {
            self.index.list_counters.extend(self.address(entry));
        }
        if !name.ends_with("{vtable}") {
            return;
        }
        let address = self.address(entry);
        let table = self.reference(entry, dw::DW_AT_type);
        if let (Some(address), Some(table)) = (address, table)
            && let Some(concrete) = self.containing_type(table)
        {
            self.index.vtables.insert(address, concrete);
        }
    }

    /// Returns the address that a variable always has.
    fn address(&self, entry: &Entry<'d>) -> Option<u64> {
        let location = entry.attr_value(dw::DW_AT_location)?.exprloc_value()?;
        let mut operations = location.operations(self.unit.encoding());
        match operations.next().ok()?? {
            gimli::Operation::Address { address } => Some(address),
            gimli::Operation::AddressIndex { index } => self.unit.address_at(index),
            _ => None,
        }
    }

    /// Returns the type whose vtable has the type `table`.
    fn containing_type(&self, table: TypeId) -> Option<TypeId> {
        let entry = self.unit.entry(self.unit.offset(table)?).ok()?;
        self.reference(&entry, dw::DW_AT_containing_type)
    }

    fn start_parameters(&mut self, entry: TypeId, depth: isize, arguments: &'d str, of: Generic) {
        self.finish_parameters();
        self.parameters = Some(Parameters {
            depth,
            entry,
            arguments,
            of,
            first: None,
            second: None,
        });
    }

    fn finish_parameters(&mut self) {
        let Some(parameters) = self.parameters.take() else {
            return;
        };
        let Parameters { first, second, .. } = parameters;
        match (parameters.of, first, second) {
            (Generic::Cell, Some(future), Some(scheduler)) => {
                self.index
                    .cells
                    .insert((future, scheduler), parameters.entry);
            }
            (Generic::BlockOn(range), first, second) => {
                let candidates = [first, second];
                self.index
                    .blocks_by_entry
                    .insert(parameters.entry, candidates);
                if let Some((start, end)) = range {
                    self.index
                        .add_block_on(&(start..end), parameters.entry, candidates);
                }
            }
            (Generic::Poll(range), Some(future), Some(scheduler)) => {
                let poll = Poll {
                    arguments: parameters.arguments,
                    future,
                    scheduler,
                };
                self.index.by_entry.insert(parameters.entry, poll);
                if let Some((start, _)) = range {
                    self.index.polls.insert(start, poll);
                }
            }
            _ => {}
        }
    }
}
