//! Makes tasks that wait ten async functions deep, in twenty shapes. The functions of different shapes have different
//! names and lines.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::Notify;

/// The number of shapes.
pub const SHAPES: usize = 20;

/// A task that waits for ever. The calls in it are boxed, so each has a poll of its own.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for ever for a resource of tokio, because tokio's dump shows no others.
async fn wait() {
    Notify::new().notified().await;
}

/// Defines ten functions in a module of each name, with one attribute for the outermost and one for the others.
macro_rules! shapes {
    ([$(#[$root:meta])?] [$(#[$call:meta])?] $([$done:ident])*) => {
        /// Returns a task of the shape with the given number.
        pub fn task(shape: usize) -> super::Task {
            let shapes: [fn() -> super::Task; super::SHAPES] = [$(|| Box::pin($done::a())),*];
            shapes[shape % shapes.len()]()
        }
    };
    ([$(#[$root:meta])?] [$(#[$call:meta])?] $([$done:ident])* $shape:ident $($shapes:ident)*) => {
        mod $shape {
            use crate::shapes::Task;

            $(#[$root])?
            pub(super) async fn a() {
                (Box::pin(b()) as Task).await;
            }

            shapes!(calls $shape [$(#[$call])?] b c d e f g h i j);
        }

        shapes!([$(#[$root])?] [$(#[$call])?] $([$done])* [$shape] $($shapes)*);
    };
    (calls $shape:ident [$(#[$call:meta])?] $last:ident) => {
        $(#[$call])?
        async fn $last() {
            crate::shapes::wait().await;
        }
    };
    (calls $shape:ident [$(#[$call:meta])?] $outer:ident $inner:ident $($others:ident)*) => {
        $(#[$call])?
        async fn $outer() {
            (Box::pin($inner()) as Task).await;
        }

        shapes!(calls $shape [$(#[$call])?] $inner $($others)*);
    };
}

macro_rules! twenty_shapes {
    ($(#[$doc:meta])* $name:ident [$(#[$root:meta])?] [$(#[$call:meta])?]) => {
        $(#[$doc])*
        pub mod $name {
            shapes!(
                [$(#[$root])?] [$(#[$call])?]
                one two three four five six seven eight nine ten eleven twelve thirteen fourteen
                fifteen sixteen seventeen eighteen nineteen twenty
            );
        }
    };
}

twenty_shapes!(
    /// No function is annotated.
    plain [] []
);
twenty_shapes!(
    /// The outermost function of each task is annotated.
    outermost [#[tasktrace::traced]] []
);
twenty_shapes!(
    /// Each function is annotated.
    annotated [#[tasktrace::traced]] [#[tasktrace::traced]]
);
