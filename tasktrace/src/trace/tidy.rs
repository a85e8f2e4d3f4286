//! The frames that a reader wants to see of a stack.
//!
//! * The functions of the program, each once: the body of an async fn is a closure to the
//!   compiler, and an attribute may have put another into it.
//! * A closure only where it is an async block, which has `.await`s of its own. What `poll_fn`,
//!   `select!` and `join!` call is a closure as well, but only the function that awaits it is of
//!   interest.
//! * Below the last function of the program, one frame for the resource that it waits for.
//! * The names and places that the attributes know, where there are no symbols.

use std::sync::Arc;

use super::Tree;
use super::build::Builder;
use super::frame::{Place, Wait};
use super::notes::Survey;
use super::resource;
use crate::capture::{Entry, LeafKind, RawTrace, Stack};
use crate::origin::Origin;
use crate::symbol::{self, Class, Paths, Symbol, Symbols};

pub(super) fn tree(raw: &RawTrace) -> Tree {
    let mut builder = Builder::default();
    let mut survey = Survey::default();
    let resolved: Vec<Vec<Part>> = raw
        .stacks
        .iter()
        .map(|stack| parts(raw, *stack, &mut survey))
        .collect();
    for part in resolved.iter().flatten() {
        learn_workspaces(part, raw);
    }
    let paths = Paths::new();
    for (stack, parts) in raw.stacks.iter().zip(&resolved) {
        let mut path = Path::new(&paths, stack.kind);
        for part in parts {
            path.push(part);
        }
        builder.add(path.finish(), Some(wait(stack.kind)), stack.count);
    }
    Tree {
        frames: builder.finish(),
        notes: survey.notes(raw),
    }
}

pub(super) fn wait(kind: LeafKind) -> Wait {
    match kind {
        LeafKind::Registered => Wait::Registered,
        LeafKind::Woken => Wait::Yielded,
        LeafKind::NoWaker => Wait::NoWaker,
        LeafKind::Here => Wait::Running,
    }
}

/// Stands for frames that were not recorded.
pub(super) fn cut() -> Place {
    Place {
        name: "(frames nearer to the root were not recorded: the stack is too deep)".into(),
        ..Place::default()
    }
}

/// What is known of a task or a frame without symbols.
pub(super) fn place_of(origin: Origin) -> Place {
    Place {
        file: Some(origin.file().into()),
        line: Some(origin.line()),
        column: Some(origin.column()),
        name: symbol::split_name(origin.path()).function.into(),
        label: origin.given_name().map(Arc::from),
    }
}

/// An entry of a stack, resolved.
enum Part {
    Functions(Symbols),
    /// A task or a frame whose poll is in the functions before.
    Marker(Origin),
    Cut,
}

fn parts(raw: &RawTrace, stack: Stack, survey: &mut Survey) -> Vec<Part> {
    let part = |entry: &Entry| match entry {
        Entry::Ip(address) => {
            let symbols = symbol::resolve(*address);
            survey.see(&symbols);
            Some(Part::Functions(symbols))
        }
        Entry::Marker(index) => raw.marker(*index).map(Part::Marker),
        Entry::Cut => Some(Part::Cut),
    };
    raw.entries(stack).iter().filter_map(part).collect()
}

/// The attributes know paths relative to the workspace, the symbols know them whole.
fn learn_workspaces(part: &Part, raw: &RawTrace) {
    let Part::Functions(symbols) = part else {
        return;
    };
    for file in symbols.iter().filter_map(|symbol| symbol.file.as_deref()) {
        for origin in raw.markers() {
            symbol::learn_workspace(origin.file(), file);
        }
    }
}

/// The way from the root to a leaf, in the making.
struct Path<'a> {
    paths: &'a Paths,
    kind: LeafKind,
    frames: Vec<TidyFrame>,
    /// Functions of runtimes since the last frame: plumbing if another frame follows, the resource
    /// that is waited for if none does.
    runtime: Vec<&'a Symbol>,
    /// Markers whose place among the functions before them is still to be found.
    markers: Vec<Origin>,
    /// A closure that is called next is not an async block.
    in_plain_call: bool,
}

struct TidyFrame {
    place: Place,
    /// How many closures deep in the function of that name.
    closures: usize,
    source: Source,
}

/// What a frame is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Symbols.
    Symbol,
    /// An attribute: the place is that of the function, until a symbol says at which line it is.
    Attribute,
    /// The call of `traced`: as above, and not a frame at all if the symbols say otherwise.
    Call,
}

impl<'a> Path<'a> {
    fn new(paths: &'a Paths, kind: LeafKind) -> Self {
        Self {
            paths,
            kind,
            frames: Vec::new(),
            runtime: Vec::new(),
            markers: Vec::new(),
            in_plain_call: false,
        }
    }

    fn push(&mut self, part: &'a Part) {
        match part {
            Part::Functions(symbols) => {
                self.flush_markers();
                for symbol in symbols.iter() {
                    self.push_symbol(symbol);
                }
            }
            // Of the markers of a function with much inlined into it, each belongs where a poll
            // of ours was inlined. They come after the function, but they were collected before.
            Part::Marker(origin) => self.push_marker(*origin),
            Part::Cut => self.frames.push(TidyFrame {
                place: cut(),
                closures: 0,
                source: Source::Symbol,
            }),
        }
    }

    fn flush_markers(&mut self) {
        for origin in std::mem::take(&mut self.markers) {
            self.push_marker(origin);
        }
    }

    fn push_marker(&mut self, origin: Origin) {
        let place = place_of(origin);
        let source = match origin {
            Origin::Function(_) => Source::Attribute,
            Origin::Call { .. } => Source::Call,
        };
        match self.frames.last_mut() {
            // The async fn whose body the attribute has wrapped.
            Some(last) if last.place.name == place.name && last.source == Source::Symbol => {
                last.place.label = place.label;
                last.source = Source::Attribute;
            }
            _ => self.frames.push(TidyFrame {
                place,
                closures: 0,
                source,
            }),
        }
    }

    fn push_symbol(&mut self, symbol: &'a Symbol) {
        match symbol.class {
            Class::User => self.push_user(symbol),
            Class::Runtime | Class::OurLeaf => self.runtime.push(symbol),
            Class::PollFn => self.in_plain_call = true,
            Class::Std if symbol.function.ends_with("::poll") => {}
            Class::Std => self.in_plain_call = true,
            Class::OurFrame | Class::Ours => {}
        }
    }

    fn push_user(&mut self, symbol: &Symbol) {
        self.runtime.clear();
        let in_plain_call = std::mem::take(&mut self.in_plain_call);
        let mut place = Place {
            file: symbol
                .file
                .as_deref()
                .map(|file| self.paths.shorten(file).into()),
            line: symbol.line,
            column: symbol.column,
            name: Arc::clone(&symbol.function),
            label: None,
        };
        match self.frames.last_mut() {
            Some(last) if last.place.name == place.name && symbol.closures > last.closures => {
                if last.source != Source::Symbol {
                    // The body of the function that the attribute is on.
                    last.source = Source::Symbol;
                    last.closures = symbol.closures;
                    if place.line.is_some() {
                        place.label = last.place.label.take();
                        last.place = place;
                    }
                    return;
                }
                if in_plain_call || last.closures == 0 {
                    return;
                }
                place.name = format!("{}::{{async block}}", place.name).into();
            }
            // A future that was boxed before it was traced, for example.
            Some(last) if last.source == Source::Call && last.place.name != place.name => {
                self.frames.pop();
            }
            _ => {}
        }
        self.frames.push(TidyFrame {
            place,
            closures: symbol.closures,
            source: Source::Symbol,
        });
    }

    fn finish(mut self) -> Vec<Place> {
        self.flush_markers();
        let waits = matches!(self.kind, LeafKind::Registered | LeafKind::Woken);
        let leaf = waits
            .then(|| resource::place(&self.runtime, self.paths))
            .flatten();
        self.frames
            .into_iter()
            .map(|frame| frame.place)
            .chain(leaf)
            .collect()
    }
}
