//! Tests that tokio reports errors in its own arguments, at the user's tokens.

#[tasktrace::main(flavor = "current")]
async fn flavor() {}

#[tasktrace::main(flavor = 5)]
async fn flavor_number() {}

#[tasktrace::main(flavor = "current_thread", worker_threads = 2)]
async fn worker_threads() {}

#[tasktrace::main(start_paused = true)]
async fn start_paused() {}

#[tasktrace::main(threads = 2)]
async fn unknown() {}

#[tasktrace::main(multi_thread)]
async fn no_value() {}

#[tasktrace::main(crate = "not a path")]
async fn not_a_path() {}

#[tasktrace::main(crate = "tokio", crate = tokio)]
async fn crate_twice() {}

#[tasktrace::main(crate = missing)]
async fn missing_crate() {}

#[tasktrace::test(flavor = "current")]
async fn test() {}

fn main() {}
