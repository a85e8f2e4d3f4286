/// `main` itself gets no second error that says that it may not be async.
#[tasktrace::main(block_on)]
async fn main() {
    std::future::ready(()).await;
    beside_arguments_of_tokio();
    beside_crate();
    not_a_path();
    no_path();
    twice();
    not_a_path_of_tasktrace();
    timeout();
    timeout_on_another_executor();
    signal_number();
    signal_path();
    signal_in_parentheses();
    signal_unknown();
    signal_not_to_be_handled();
    signal_empty();
    signal_twice();
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

#[tasktrace::main(block_on = run())]
async fn call() {}

#[tasktrace::main(block_on = run, block_on = run)]
async fn twice() {}

#[tasktrace::main(tasktrace = 5)]
async fn not_a_path_of_tasktrace() {}

#[tasktrace::main(timeout = "30s")]
async fn timeout() {}

#[tasktrace::main(block_on = run, timeout = "none")]
async fn timeout_on_another_executor() {}

#[tasktrace::main(dump_on_signal = 10)]
async fn signal_number() {}

#[tasktrace::main(dump_on_signal = libc::SIGUSR1, flavor = "current_thread")]
async fn signal_path() {}

#[tasktrace::main(dump_on_signal("SIGUSR1"))]
async fn signal_in_parentheses() {}

#[tasktrace::main(dump_on_signal = "SIGNAL")]
async fn signal_unknown() {}

#[tasktrace::main(dump_on_signal = "kill", block_on = run)]
async fn signal_not_to_be_handled() {}

#[tasktrace::main(dump_on_signal = "")]
async fn signal_empty() {}

#[tasktrace::main(dump_on_signal = "usr1", dump_on_signal)]
async fn signal_twice() {}

#[tasktrace::test(block_on = run, "text")]
async fn test() {}

#[tasktrace::main(attach = "1", block_on = run)]
async fn attach_with_a_value() {}

#[tasktrace::main(block_on = run, attach, attach)]
async fn attach_twice() {}
