/// In `main` itself, no second error says that it may not be async.
#[tasktrace::main(block_on)]
async fn main() {
    std::future::ready(()).await;
    beside_arguments_of_tokio();
    beside_crate();
    not_a_path();
    no_path();
    twice();
    not_a_path_of_tasktrace();
}

fn run<F: Future>(_: F) -> F::Output {
    unimplemented!()
}

#[tasktrace::main(block_on = run, flavor = "current_thread", start_paused = true)]
async fn beside_arguments_of_tokio() {}

#[tasktrace::main(crate = "tokio", block_on = run)]
async fn beside_crate() {}

#[tasktrace::main(block_on = 5)]
async fn not_a_path() {}

#[tasktrace::main(block_on =)]
async fn no_path() {}

#[tasktrace::main(block_on = run, block_on = run)]
async fn twice() {}

#[tasktrace::main(tasktrace = 5)]
async fn not_a_path_of_tasktrace() {}

#[tasktrace::test(block_on = run, "text")]
async fn test() {}
