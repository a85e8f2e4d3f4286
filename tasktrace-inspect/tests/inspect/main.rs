//! Programs that do not depend on tasktrace are run, and where their tasks wait is read from their memory.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod async_locks;
mod channels;
mod containers;
mod core_file;
mod cores;
mod cycles;
mod damage;
mod errors;
mod executor;
mod frozen;
mod leaves;
mod load;
mod locks;
mod old_tasks;
mod own;
mod program;
mod runtimes;
mod scale;
mod split;
mod text;
mod tree;
mod wrappers;
