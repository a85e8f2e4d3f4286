//! The way from the root of a task to one leaf.
//!
//! One way is made of the one before it, from where they part: so the state after each part is kept. A
//! part changes the last of the frames before it at most, so of all others nothing has to be copied.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Line, Part, place_of, wait};
use crate::capture::{LeafKind, Marker};
use crate::origin::Origin;
use crate::symbol::{Class, Paths, Symbol};
use crate::trace::build::Builder;
use crate::trace::frame::{LineIs, Place};
use crate::trace::resource::{self, Called, Found, Resource};

/// The frames on the way to a leaf, in the making.
pub(super) struct Path<'a> {
    paths: &'a Paths,
    /// The thread was interrupted in the trace.
    is_sampled: bool,
    /// The number of the task that the trace is of.
    task: u64,
    frames: Vec<TidyFrame>,
    /// Where in `frames` the last of each function is.
    last: HashMap<Arc<str>, usize>,
    /// Where in the tree the first of the frames are.
    nodes: Vec<usize>,
    /// Functions of runtimes. Those since the last frame are plumbing if another frame follows, the
    /// resource that is waited for if none does.
    runtime: Vec<&'a Symbol>,
    /// All functions, if the thread was interrupted.
    called: Vec<&'a Symbol>,
    now: Now<'a>,
    /// The state after each part.
    after: Vec<After<'a>>,
}

/// Where the way has come to.
#[derive(Clone, Copy)]
struct Now<'a> {
    /// Where in `runtime` those since the last frame begin.
    runtime: usize,
    /// The same in `called`.
    called: usize,
    /// The last function of this crate.
    ours: Option<&'a Symbol>,
    caller: Caller,
    /// The program has panicked: what follows are panic hooks.
    has_panicked: bool,
    /// Whether the last frame is that of the caller, but for what polls on its behalf.
    is_direct: bool,
}

/// The state after a part.
struct After<'a> {
    now: Now<'a>,
    /// The lengths of the lists.
    frames: usize,
    runtime: usize,
    called: usize,
    /// What the last frame is, which parts that follow can change.
    last: Option<TidyFrame>,
}

#[derive(Clone)]
struct TidyFrame {
    /// The path of the function. Empty if it is not known.
    function: Arc<str>,
    /// How many closures deep in that function.
    closures: usize,
    place: Place,
    /// As it is in the debug information.
    file: Option<Arc<str>>,
    /// Where in the frames the one before of the same function is.
    before: Option<usize>,
    /// The keys of the live frames that it is: it may be a task as well as a function.
    keys: Vec<u64>,
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
    /// A wait for other tasks: there is nothing to be known about it from symbols.
    Wait,
}

/// What the next function was called by, which tells async blocks from other closures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Something that polls futures.
    Poll,
    /// Something that calls functions.
    Call,
}

/// What became of a function of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// The last frame is its.
    Frame,
    /// It is a closure that its function has called.
    Nothing,
}

const BEGIN: Now<'_> = Now {
    runtime: 0,
    called: 0,
    ours: None,
    caller: Caller::Poll,
    has_panicked: false,
    is_direct: true,
};

impl<'a> Path<'a> {
    pub(super) fn new(paths: &'a Paths, is_sampled: bool, task: u64) -> Self {
        Self {
            paths,
            is_sampled,
            task,
            frames: Vec::new(),
            last: HashMap::new(),
            nodes: Vec::new(),
            runtime: Vec::new(),
            called: Vec::new(),
            now: BEGIN,
            after: Vec::new(),
        }
    }

    /// Goes back to where the way to the next leaf parts from that to the one before, and from there to
    /// that leaf.
    pub(super) fn follow(&mut self, parts: &'a [Part<'_>], line: &Line) {
        if line.shared < self.after.len() {
            self.after.truncate(line.shared);
            self.restore();
        }
        for part in &parts[line.own.clone()] {
            self.push(part);
            self.after.push(After {
                now: self.now,
                frames: self.frames.len(),
                runtime: self.runtime.len(),
                called: self.called.len(),
                last: self.frames.last().cloned(),
            });
        }
    }

    /// Restores the state after the last part.
    fn restore(&mut self) {
        let after = self.after.last();
        let (frames, runtime, called) =
            after.map_or((0, 0, 0), |it| (it.frames, it.runtime, it.called));
        let last = after.and_then(|after| after.last.clone());
        self.now = after.map_or(BEGIN, |after| after.now);
        self.runtime.truncate(runtime);
        self.called.truncate(called);
        // Parts that followed may have put another frame in the place of the last.
        while self.frames.len() >= frames.max(1) {
            self.pop_frame();
        }
        if let Some(last) = last {
            self.push_frame(last);
        }
    }

    fn push(&mut self, part: &'a Part<'_>) {
        // The last frame may become another.
        let unchanged = self.frames.len().saturating_sub(1);
        self.nodes.truncate(unchanged);
        match part {
            Part::Functions(symbols, markers) => {
                // The marked function is the first: it is on the stack, and the others were inlined
                // into it.
                let mut symbols = symbols.iter();
                if let Some(marked) = symbols.next() {
                    self.push_symbol(marked);
                }
                for marker in markers {
                    self.push_marker(marker);
                }
                for inlined in symbols {
                    self.push_symbol(inlined);
                }
            }
            Part::TailCaller(symbols) => {
                if let Some(symbol) = symbols.first() {
                    self.push_symbol(symbol);
                }
            }
            Part::Root(marker) => self.push_marker(marker),
            Part::Missing(place) => self.push_frame(TidyFrame {
                function: "".into(),
                closures: 0,
                place: place.clone(),
                file: None,
                before: None,
                keys: Vec::new(),
                source: Source::Symbol,
            }),
        }
    }

    fn push_marker(&mut self, marker: &Marker) {
        let mut place = place_of(&marker.identity);
        let key = marker.key.filter(|_| marker.task == self.task);
        let source = match marker.identity.origin() {
            // No symbol has the name of the latter.
            Origin::Function(_) | Origin::Named { .. } => Source::Attribute,
            Origin::Call { .. } => Source::Call,
            Origin::Wait { .. } => Source::Wait,
        };
        match self.frames.last_mut() {
            // The async fn whose body the attribute has wrapped. Or a task that was made of its future, with or
            // without a label, if nothing is known of what is between the two.
            Some(last)
                if last.function == place.name
                    && (last.source == Source::Symbol
                        || last.source == Source::Call
                            && matches!(source, Source::Attribute | Source::Call)
                            && (last.place.label.is_none() || place.label.is_none())) =>
            {
                // That of the task, if this is the function that it runs.
                place.label = last.place.label.take().or(place.label);
                // The symbol's line is that of the attribute.
                last.place = place;
                last.keys.extend(key);
                last.source = source;
            }
            _ => self.push_frame(TidyFrame {
                function: Arc::clone(&place.name),
                closures: 0,
                place,
                file: None,
                before: None,
                keys: key.into_iter().collect(),
                source,
            }),
        }
        self.now.caller = Caller::Poll;
    }

    fn push_symbol(&mut self, symbol: &'a Symbol) {
        if self.is_sampled {
            self.called.push(symbol);
            if symbol.is_foreign() {
                return;
            }
        }
        self.now.has_panicked |= symbol.begins_panic();
        if self.now.has_panicked {
            return;
        }
        match symbol.class {
            Class::User => self.now.is_direct = self.push_user(symbol) == Pushed::Frame,
            Class::Runtime => {
                self.runtime.push(symbol);
                self.now.is_direct &= symbol.function.starts_with("tracing");
            }
            Class::PollFn | Class::Std | Class::Ours => {
                self.now.is_direct &= caller(symbol) == Caller::Poll;
                if symbol.class == Class::Ours {
                    self.now.ours = Some(symbol);
                }
            }
        }
        self.now.caller = caller(symbol);
    }

    fn push_user(&mut self, symbol: &Symbol) -> Pushed {
        self.now.runtime = self.runtime.len();
        self.now.called = self.called.len();
        let mut place = Place {
            file: symbol
                .file
                .as_deref()
                .map(|file| self.paths.shorten(file).into()),
            line: symbol.line,
            column: symbol.column,
            name: Arc::clone(&symbol.function),
            label: None,
            is_library: symbol.is_library,
            line_is: LineIs::Current,
        };
        if symbol.is_library {
            let file = symbol.file.as_deref();
            let function = &*symbol.function;
            if let Some(name) = resource::called(&Called { function, file }) {
                place.name = name.into();
            }
        }
        let mut keys = Vec::new();
        match self.frames.last_mut() {
            Some(last) if is_inside(symbol, last) => {
                if last.source != Source::Symbol {
                    // The body of the function that the attribute is on.
                    last.source = Source::Symbol;
                    last.closures = symbol.closures;
                    if place.line.is_some() {
                        place.label = last.place.label.take();
                        last.place = place;
                    }
                    return Pushed::Frame;
                }
                if self.now.caller == Caller::Call || last.closures == 0 {
                    return Pushed::Nothing;
                }
                // A block stands before its `.await`, unless an attribute has put it around the
                // body of the function.
                let position = |place: &Place| (place.line, place.column);
                if self.now.is_direct
                    && place.file == last.place.file
                    && position(&place) >= position(&last.place)
                {
                    last.closures = symbol.closures;
                    place.label = last.place.label.take();
                    place.name = Arc::clone(&last.place.name);
                    last.place = place;
                    return Pushed::Frame;
                }
            }
            // A future that was boxed before it was traced, for example.
            Some(last) if last.source == Source::Call && last.function != symbol.function => {
                keys = std::mem::take(&mut last.keys);
                place.label = last.place.label.take();
                self.pop_frame();
            }
            _ => {}
        }
        // The closest, which in a recursion is the one whose body it is in.
        let around = self.last.get(&symbol.function).map(|at| &self.frames[*at]);
        if self.now.caller == Caller::Poll && around.is_some_and(|around| is_inside(symbol, around))
        {
            place.name = format!("{}::{{async block}}", place.name).into();
        }
        self.push_frame(TidyFrame {
            function: Arc::clone(&symbol.function),
            closures: symbol.closures,
            place,
            file: symbol.file.clone(),
            before: None,
            keys,
            source: Source::Symbol,
        });
        Pushed::Frame
    }

    fn push_frame(&mut self, mut frame: TidyFrame) {
        let function = Arc::clone(&frame.function);
        frame.before = self.last.insert(function, self.frames.len());
        self.frames.push(frame);
    }

    fn pop_frame(&mut self) {
        if let Some(TidyFrame {
            function, before, ..
        }) = self.frames.pop()
        {
            self.nodes.truncate(self.frames.len());
            match before {
                Some(before) => self.last.insert(function, before),
                None => self.last.remove(&function),
            };
        }
    }

    /// Adds the frames to a tree, and what the last of them waits for.
    pub(super) fn add_to(&mut self, builder: &mut Builder, kind: LeafKind, count: usize) {
        let (shown, resource) = self.shown(kind);
        self.nodes.truncate(shown);
        for frame in &self.frames[self.nodes.len()..shown] {
            let parent = self.nodes.last().copied();
            let node = builder.step(parent, frame.place.clone(), &frame.keys);
            self.nodes.push(node);
        }
        let at = match self.nodes.last() {
            None if resource.is_none() => {
                // Nothing is known but that there is something.
                Some(builder.step(None, Place::default(), &[]))
            }
            last => last.copied(),
        };
        builder.leaf(at, resource, wait(kind), count);
    }

    /// How many of the frames are shown, and what the last of them waits for.
    fn shown(&self, kind: LeafKind) -> (usize, Option<Resource>) {
        let all = self.frames.len();
        let (shown, resource) = match kind {
            LeafKind::Registered
            | LeafKind::AwaitsTrace
            | LeafKind::AwaitsDump
            | LeafKind::Woken => self.resource(kind),
            LeafKind::Sampled => {
                let called = &self.called[self.now.called..];
                let caller = match self.frames.last() {
                    Some(last) if last.is_of_library() => resource::Caller::Library,
                    _ => resource::Caller::Program,
                };
                (all, resource::find_blocking(called, caller, self.paths))
            }
            LeafKind::NoWaker | LeafKind::Here => (all, None),
        };
        // How another task is waited for is not of interest.
        let last = self.frames[..shown].last();
        let waits_for_tasks = last.is_some_and(|last| last.source == Source::Wait);
        (shown, resource.filter(|_| !waits_for_tasks))
    }

    /// The function of this crate that has registered the waker: the last before the one that records.
    fn registrar(&self) -> Option<&'a Symbol> {
        let before = self.after.len().checked_sub(2)?;
        self.after[before].now.ours
    }

    /// Returns how many of the frames lead to the resource that was waited for when the waker was registered, and
    /// that: the outermost that has a name, of a library or of a runtime.
    fn resource(&self, kind: LeafKind) -> (usize, Option<Resource>) {
        let program = self.frames.iter().rposition(|frame| !frame.is_of_library());
        let first = program.map_or(0, |program| program + 1);
        let libraries: Vec<Called<'_>> = self.frames[first..]
            .iter()
            .map(|frame| Called {
                function: &frame.function,
                file: frame.file.as_deref(),
            })
            .collect();
        let found = resource::find_library(&libraries);
        let caller = match libraries.is_empty() {
            true => resource::Caller::Program,
            false => resource::Caller::Library,
        };
        let wait = wait(kind);
        let runtime = &self.runtime[self.now.runtime..];
        let of_runtime = match resource::of_ours(kind) {
            Some(name) => Some(resource::ours(name, self.registrar(), wait, self.paths)),
            None => resource::find(runtime, caller, wait, self.paths),
        };
        match found {
            Found::Resource(at, name) => {
                let shown = (first + at).min(self.frames.len());
                let of_library: Vec<Place> = self.frames[shown..]
                    .iter()
                    .map(|frame| frame.place.clone())
                    .collect();
                let (wait, way) = of_runtime.map_or((wait, 0), |of| (of.wait, of.way));
                // A library may register wakers in two places, too.
                let way = resource::way(way, &of_library);
                let resource = of_library.into_iter().next().map(|place| {
                    let name = name.into();
                    let place = Place { name, ..place };
                    Resource { place, wait, way }
                });
                (shown, resource)
            }
            Found::Plumbing(at) => {
                // The root of a trace stays.
                let shown = (first + at).max(1).min(self.frames.len());
                (shown, of_runtime)
            }
        }
    }
}

impl TidyFrame {
    /// Returns `true` if it is a function of a library, which has no attribute of ours.
    fn is_of_library(&self) -> bool {
        self.source == Source::Symbol && self.place.is_library && self.keys.is_empty()
    }
}

/// Whether it is a closure in the function of the frame.
fn is_inside(symbol: &Symbol, frame: &TidyFrame) -> bool {
    !symbol.function.is_empty()
        && symbol.function == frame.function
        && symbol.closures > frame.closures
}

fn caller(symbol: &Symbol) -> Caller {
    let name = symbol.function.rsplit("::").next().unwrap_or_default();
    let polls = name.starts_with("poll") || name.starts_with("try_poll");
    match symbol.class {
        // It awaits.
        Class::User | Class::Runtime if symbol.closures > 0 => Caller::Poll,
        Class::User | Class::Std | Class::Runtime if !polls => Caller::Call,
        Class::PollFn => Caller::Call,
        _ => Caller::Poll,
    }
}

#[cfg(test)]
mod tests;
