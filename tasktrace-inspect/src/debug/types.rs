//! Types, each read when it is first asked for.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use gimli::constants as dw;

use super::TypeId;
use super::body::{self, Variable};
use super::file::DebugFile;
use super::frame::{self, InFrame};
use super::index::Index;
use super::lines;
use super::names;
use super::parse::{self, Type};
use super::scope::{self, Scopes};
use super::split::SplitFiles;
use super::unit::Units;
use crate::error::Error;
use crate::hash::FastMap;
use crate::text::Text;

/// Names of files, by the numbers of the unit and of the file.
type Files = FastMap<(usize, u64), Option<Text>>;

/// The types of a program.
pub(crate) struct Types<'d> {
    units: Units<'d>,
    index: Index<'d>,
    types: RefCell<FastMap<TypeId, Option<Rc<Type<'d>>>>>,
    paths: RefCell<FastMap<TypeId, Text>>,
    functions: RefCell<FastMap<TypeId, Text>>,
    /// The namespaces, by the number of their unit.
    scopes: RefCell<FastMap<usize, Rc<Scopes<'d>>>>,
    files: RefCell<Files>,
    /// The variables in the bodies of coroutines.
    variables: RefCell<FastMap<TypeId, Rc<[Variable<'d>]>>>,
}

impl<'d> Types<'d> {
    /// Indexes the debug info in a file, and in the files that `split` has. `name` is what errors call the program.
    pub(crate) fn load(
        file: &'d DebugFile,
        split: &'d SplitFiles,
        name: &Path,
    ) -> Result<Self, Error> {
        let units = split.units(file)?;
        let index = Index::new(&units);
        let path = name.to_owned();
        if index.structures == 0 || index.coroutines == 0 && index.polls.is_empty() {
            return Err(match () {
                () if index.split_units > 0 => Error::SplitDebugInfo { path },
                () if index.damaged_units > 0 => Error::Dwarf {
                    path: file.path().to_owned(),
                    reason: "its units cannot be read".to_owned(),
                },
                () if index.rust_units == 0 => Error::NotRust { path },
                () if index.own_units == 0 => Error::NoDebugInfo { path },
                () if index.own_structures == 0 => Error::NoTypes { path },
                () => Error::NoAsync { path },
            });
        }
        Ok(Self {
            units: Units::new(units),
            index,
            types: RefCell::default(),
            paths: RefCell::default(),
            functions: RefCell::default(),
            scopes: RefCell::default(),
            files: RefCell::default(),
            variables: RefCell::default(),
        })
    }

    /// Returns what is looked up by address.
    pub(crate) fn index(&self) -> &Index<'d> {
        &self.index
    }

    /// Returns a type, if its entry can be read.
    pub(crate) fn get(&self, id: TypeId) -> Option<Rc<Type<'d>>> {
        if let Some(found) = self.types.borrow().get(&id) {
            return found.clone();
        }
        let unit = self.units.of(id);
        let found = unit.and_then(|(_, unit)| parse::parse(&unit, id).map(Rc::new));
        self.types.borrow_mut().insert(id, found.clone());
        found
    }

    /// Returns the path of a type without generic arguments.
    pub(crate) fn path(&self, id: TypeId) -> Text {
        if let Some(path) = self.paths.borrow().get(&id) {
            return path.clone();
        }
        let mut names = self.namespaces(id);
        let ty = self.get(id);
        let name = ty.as_ref().map_or("", |ty| ty.name);
        // Before a bracket, names of closures and of tuples are whole.
        let name = match name.starts_with(['(', '&', '*', '[']) {
            true => name.into(),
            false => names::without_generics(name),
        };
        names.push(&name);
        let path: Text = names.join("::").into();
        self.paths.borrow_mut().insert(id, path.clone());
        path
    }

    /// Returns the path of the function that a coroutine is the body of, or is in.
    pub(crate) fn function(&self, id: TypeId) -> Text {
        if let Some(path) = self.functions.borrow().get(&id) {
            return path.clone();
        }
        let names = self.namespaces(id);
        let names = scope::function_of(&names);
        let mut path = names.join("::");
        if names.iter().any(|name| name.starts_with("{impl#")) {
            path = self.method(id, &path).unwrap_or_else(|| {
                let names = names.iter().filter(|name| !name.starts_with("{impl#"));
                names.copied().collect::<Vec<_>>().join("::")
            });
        }
        let path: Text = path.into();
        self.functions.borrow_mut().insert(id, path.clone());
        path
    }

    fn namespaces(&self, id: TypeId) -> Vec<&'d str> {
        let Some((number, unit)) = self.units.of(id) else {
            return Vec::new();
        };
        let known = self.scopes.borrow().get(&number).cloned();
        let scopes = known.unwrap_or_else(|| {
            let scopes = Rc::new(Scopes::new(&unit));
            self.scopes.borrow_mut().insert(number, Rc::clone(&scopes));
            scopes
        });
        let offset = unit.offset(id);
        offset.map_or_else(Vec::new, |offset| scopes.of(offset.0))
    }

    /// Returns the path of the method that a coroutine, or a closure in one, is in. `path` has the number of the `impl`
    /// block, which another crate of the same name may have too.
    fn method(&self, id: TypeId, path: &str) -> Option<String> {
        let own = self.bodies(id).into_iter().filter_map(|body| {
            let (_, unit) = self.units.of(body)?;
            let entry = unit.entry(unit.offset(body)?).ok()?;
            unit.text(&entry, dw::DW_AT_linkage_name)
        });
        let mut mangled: Vec<&str> = own.collect();
        if mangled.is_empty() {
            mangled.clone_from(self.index.methods.get(path)?);
        }
        let mut names = mangled.into_iter().filter_map(names::method);
        let name = names.next()?;
        names.all(|it| it == name).then_some(name)
    }

    /// Returns the variables in the body of a coroutine. Those whose place is not certain, because there are different
    /// bodies, are left out.
    pub(crate) fn variables(&self, id: TypeId) -> Rc<[Variable<'d>]> {
        if let Some(variables) = self.variables.borrow().get(&id) {
            return Rc::clone(variables);
        }
        let bodies: Vec<Vec<Variable<'d>>> = self
            .bodies(id)
            .into_iter()
            .filter_map(|body| {
                let (_, unit) = self.units.of(body)?;
                Some(body::variables(&unit, unit.offset(body)?))
            })
            .collect();
        let name_of = |id| self.get(id).map(|ty| ty.name);
        let is_same = |one: &Variable<'d>, other: &Variable<'d>| {
            one.name == other.name && name_of(one.id) == name_of(other.id)
        };
        let is_certain = |variable: &Variable<'d>| {
            bodies.iter().all(|body| {
                let mut same = body.iter().filter(|it| is_same(it, variable)).peekable();
                same.peek().is_none() || same.any(|it| it.place == variable.place)
            })
        };
        let mut variables: Vec<Variable<'d>> = Vec::new();
        for variable in bodies.iter().flatten().filter(|it| is_certain(it)) {
            let is_known = |it: &Variable<'d>| it.place == variable.place && is_same(it, variable);
            if !variables.iter().any(is_known) {
                variables.push(*variable);
            }
        }
        let variables: Rc<[_]> = variables.into();
        self.variables
            .borrow_mut()
            .insert(id, Rc::clone(&variables));
        variables
    }

    /// Returns the bodies of a coroutine: those with its path that begin at its line. Crates may have the same name, and
    /// units may repeat a body.
    fn bodies(&self, id: TypeId) -> Vec<TypeId> {
        let Some(ty) = self.get(id).filter(|ty| ty.name.starts_with("{async_")) else {
            return Vec::new();
        };
        let name = ty.name.replacen("_env#", "#", 1);
        let hash = scope::hash_of(self.namespaces(id).into_iter(), &name);
        let bodies = self.index.bodies.get(&hash).map_or(&[][..], Vec::as_slice);
        let place = |id, (file, line)| Some((self.file(id, file)?, line));
        let variants = ty.structure().and_then(|it| it.variants.as_ref());
        let first = variants.and_then(|it| it.variants.first());
        let begins = first.and_then(|first| place(id, first.member.place?));
        let bodies = bodies.iter().copied();
        let bodies = bodies.filter(|body| {
            let of_body = self.units.of(*body).and_then(|(_, unit)| {
                let entry = unit.entry(unit.offset(*body)?).ok()?;
                place(*body, parse::place(&entry)?)
            });
            begins.is_some() && of_body == begins
        });
        bodies.collect()
    }

    /// Returns `true` for the paths of what async programs wait on and wait with. A crate of the program may have the name
    /// of a runtime.
    pub(crate) fn is_runtime(&self, path: &str) -> bool {
        names::is_runtime_crate(path) && !self.is_own(path)
    }

    /// Returns `true` for the paths of crates that were compiled with the program, except those that are recognised by
    /// their types.
    fn is_own(&self, path: &str) -> bool {
        let name = path.split("::").next().unwrap_or(path);
        let is_recognised = match name {
            "async_task" => !self.index.runs.is_empty(),
            "tokio" => !self.index.polls.is_empty(),
            "tasktrace" => true,
            _ => false,
        };
        !is_recognised && self.index.own_crates.contains(name)
    }

    /// Returns the variables at fixed places in the frame of a function.
    pub(crate) fn frame(&self, function: TypeId) -> Vec<InFrame> {
        let find = || {
            let (_, unit) = self.units.of(function)?;
            Some(frame::variables(&unit, unit.offset(function)?))
        };
        find().unwrap_or_default()
    }

    /// Returns the name of a file in the list of the unit that a type is in.
    pub(crate) fn file(&self, id: TypeId, number: u64) -> Option<Text> {
        let (unit_number, unit) = self.units.of(id)?;
        let key = (unit_number, number);
        if let Some(file) = self.files.borrow().get(&key) {
            return file.clone();
        }
        let file = lines::file_name(&unit, number).map(Text::from);
        self.files.borrow_mut().insert(key, file.clone());
        file
    }
}
