//! Shows where async tasks are waiting: logical stack traces of running and suspended tasks.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
