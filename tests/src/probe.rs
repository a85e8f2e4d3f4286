//! A replacement for the runtime crate in tests of the attributes. A function with the attribute
//! `#[traced(crate = tasktrace_tests::probe)]` reports its metadata here, and runs untouched.

use std::cell::{Cell, RefCell};
use std::time::Duration;

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
    static LABELS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static LIMITS: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
    static STEPS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static RUNNING: Cell<Option<&'static str>> = const { Cell::new(None) };
    static FAILURE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The kind of attribute that polls the body of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `#[traced]`
    Frame,
    /// `main` or `test`
    Task,
}

/// A function that was entered.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    /// The attribute.
    pub kind: Kind,
    /// The name that the attribute sets.
    pub name: Option<&'static str>,
    /// The path of an item in the function.
    pub path: &'static str,
    /// The file, line and column of the function.
    pub place: (&'static str, u32, u32),
}

/// Returns the functions entered on this thread since the last call.
pub fn entered() -> Vec<Entered> {
    ENTERED.take()
}

/// Returns the labels of the functions entered on this thread since the last call. Functions without a label are left
/// out.
pub fn labels() -> Vec<String> {
    LABELS.take()
}

/// Returns the wait limits of the functions entered on this thread since the last call. Functions without a limit are
/// left out.
pub fn limits() -> Vec<Duration> {
    LIMITS.take()
}

/// Returns the steps of `main` and `test` on this thread since the last call, except for the task.
pub fn steps() -> Vec<String> {
    STEPS.take()
}

/// Adds to [`steps`].
pub fn step(step: impl Into<String>) {
    STEPS.with_borrow_mut(|all| all.push(step.into()));
}

/// Makes the next test on this thread fail with this message, where its body would begin.
pub fn fail(message: &'static str) {
    FAILURE.set(Some(message));
}

/// Returns the functions of [`entered`], as kinds and names.
pub fn names() -> Vec<(Kind, String)> {
    let name = |entered: Entered| (entered.kind, function(entered.path).to_owned());
    entered().into_iter().map(name).collect()
}

/// Returns the name of the function that contains the item with this path.
fn function(path: &'static str) -> &'static str {
    let mut segments = path.rsplit("::").skip(1);
    let function = segments.find(|segment| *segment != "{{closure}}");
    function.expect("an item lies in the function")
}

#[doc(hidden)]
#[allow(missing_docs)]
pub mod __private {
    use std::time::Duration;

    use super::{ENTERED, Entered, FAILURE, Kind, LABELS, LIMITS, RUNNING, function, step};

    pub use std::format;
    pub use tasktrace::__private::{Limit, Outcome, around_test, fail};

    #[derive(Debug)]
    pub struct FrameMeta {
        name: Option<&'static str>,
        path: fn() -> &'static str,
        place: (&'static str, u32, u32),
        wait_limit: Option<u64>,
    }

    impl FrameMeta {
        #[must_use]
        pub const fn new(
            name: Option<&'static str>,
            path: fn() -> &'static str,
            file: &'static str,
            line: u32,
            column: u32,
        ) -> Self {
            Self {
                name,
                path,
                place: (file, line, column),
                wait_limit: None,
            }
        }

        #[must_use]
        pub const fn wait_limit(mut self, nanos: u64) -> Self {
            self.wait_limit = Some(nanos);
            self
        }
    }

    pub use std::any::type_name;

    #[derive(Debug)]
    pub struct Function(&'static FrameMeta);

    impl Function {
        #[must_use]
        pub const fn of(meta: &'static FrameMeta) -> Self {
            Self(meta)
        }
    }

    pub trait Limited {
        fn meta(&self) -> &FrameMeta;
    }

    impl Limited for FrameMeta {
        fn meta(&self) -> &FrameMeta {
            self
        }
    }

    impl Limited for Function {
        fn meta(&self) -> &FrameMeta {
            self.0
        }
    }

    pub fn limited<T: Limited>(function: &'static T) -> &'static T {
        let nanos = function
            .meta()
            .wait_limit
            .expect("the function has a limit");
        LIMITS.with_borrow_mut(|all| all.push(Duration::from_nanos(nanos)));
        function
    }

    #[must_use]
    pub fn frame<F: Future>(function: fn() -> &'static Function, future: F) -> F {
        enter(Kind::Frame, function().0);
        future
    }

    pub fn labelled<F: Future>(meta: &'static FrameMeta, label: String, future: F) -> F {
        LABELS.with_borrow_mut(|all| all.push(label));
        enter(Kind::Frame, meta);
        future
    }

    pub fn task<F: Future>(meta: &'static FrameMeta, future: F) -> F {
        enter(Kind::Task, meta);
        future
    }

    pub fn start(dump_on_signal: Option<&str>) {
        step(format!("start {dump_on_signal:?}"));
    }

    pub use crate::__attach_probe as attach;

    #[macro_export]
    macro_rules! __attach_probe {
        () => {
            $crate::probe::step("attach")
        };
    }

    /// Adds a step when a test begins, and another when it ends.
    #[derive(Debug)]
    pub struct RunningTest(&'static str);

    impl RunningTest {
        #[must_use]
        pub fn new(meta: &'static FrameMeta, limit: Limit) -> Self {
            let name = function((meta.path)());
            step(format!("begin {name} {limit:?}"));
            RUNNING.set(Some(name));
            Self(name)
        }

        #[must_use]
        pub fn panicking(meta: &'static FrameMeta, limit: Limit) -> Self {
            step("to panic".to_owned());
            Self::new(meta, limit)
        }

        #[must_use]
        pub fn expecting(meta: &'static FrameMeta, limit: Limit, message: &str) -> Self {
            step(format!("to panic: {message}"));
            Self::new(meta, limit)
        }
    }

    impl Drop for RunningTest {
        fn drop(&mut self) {
            RUNNING.set(None);
            step(format!("end {}", self.0));
        }
    }

    #[derive(Clone, Debug)]
    pub struct CurrentTest(Option<&'static str>);

    impl CurrentTest {
        #[must_use]
        pub fn get() -> Self {
            Self(RUNNING.get())
        }
    }

    pub fn test<F: Future>(
        meta: &'static FrameMeta,
        test: CurrentTest,
        panic: fn(String) -> !,
        future: F,
        _failure: fn(&F::Output) -> Option<String>,
    ) -> F {
        assert_eq!(test.0, Some(function((meta.path)())));
        if let Some(message) = FAILURE.take() {
            panic(message.to_owned());
        }
        enter(Kind::Task, meta);
        future
    }

    pub fn output<T>() -> T {
        unreachable!("only the type is used")
    }

    fn enter(kind: Kind, meta: &FrameMeta) {
        let entered = Entered {
            kind,
            name: meta.name,
            path: (meta.path)(),
            place: meta.place,
        };
        ENTERED.with_borrow_mut(|all| all.push(entered));
    }
}
