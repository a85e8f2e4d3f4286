//! Tasks as version 4.3 of async-task lays them out: the offsets of their parts are in an `Option`.
//!
//! A build has only one version 4 of a crate, so a small program imitates the old one.

use crate::program::{self, Program, target};

const SOURCE: &str = r#"
use std::future::{Future, pending};

mod raw {
    use std::future::Future;
    use std::marker::PhantomData;
    use std::mem::offset_of;
    use std::num::NonZero;
    use std::pin::Pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Waker};

    struct Header {
        state: AtomicUsize,
        vtable: &'static TaskVTable,
    }

    struct TaskVTable {
        run: unsafe fn(*mut ()),
        layout_info: &'static Option<TaskLayout>,
    }

    struct TaskLayout {
        align: NonZero<usize>,
        offset_f: usize,
    }

    #[repr(C)]
    struct Parts<F> {
        header: Header,
        future: F,
    }

    pub struct RawTask<F, T, S, M> {
        header: *const Header,
        future: *mut F,
        others: PhantomData<(T, S, M)>,
    }

    impl<F: Future<Output = T> + 'static, T: 'static, S: 'static, M: 'static> RawTask<F, T, S, M> {
        const LAYOUT: Option<TaskLayout> = Some(TaskLayout {
            align: NonZero::new(align_of::<Parts<F>>()).unwrap(),
            offset_f: offset_of!(Parts<F>, future),
        });
        const VTABLE: TaskVTable = TaskVTable {
            run: Self::run,
            layout_info: &Self::LAYOUT,
        };

        /// Makes a task that is suspended and has a handle and a reference, and polls it once.
        pub fn start(future: F) {
            let header = Header {
                state: AtomicUsize::new(0x110),
                vtable: &Self::VTABLE,
            };
            let task = Box::leak(Box::new(Parts { header, future }));
            // SAFETY: The task is of the type whose vtable it has, and is never freed.
            unsafe { (task.header.vtable.run)(std::ptr::from_mut(task).cast()) };
            std::hint::black_box((&task.header.state, &task.header.vtable.layout_info));
        }

        unsafe fn run(task: *mut ()) {
            let parts: *mut Parts<F> = task.cast();
            // SAFETY: The caller passes a task of this type, which nothing else uses now.
            let raw = unsafe {
                Self {
                    header: &raw const (*parts).header,
                    future: &raw mut (*parts).future,
                    others: PhantomData,
                }
            };
            std::hint::black_box((raw.header, Self::LAYOUT.map(|it| (it.align, it.offset_f))));
            // SAFETY: The future is on the heap, and is neither moved nor freed.
            let future = unsafe { Pin::new_unchecked(&mut *raw.future) };
            let _ = future.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

async fn waits() {
    pending::<()>().await;
}

fn start<F: Future<Output = ()> + 'static>(future: F) {
    raw::RawTask::<F, (), u8, ()>::start(future);
}

fn main() {
    start(waits());
    println!("ready");
    loop {
        std::thread::park();
    }
}
"#;

#[test]
fn offsets_in_an_option_are_read() {
    let directory = target().join("tmp").join("old-tasks");
    let program = program::compile(&directory, "async_task", SOURCE, &["-Cdebuginfo=2"]);
    let report = Program::run(&program).inspect();
    let text = report.to_string();
    assert_eq!(report.tasks.len(), 1, "{text}");
    assert!(text.contains("╼ async_task::waits at "), "{text}");
}
