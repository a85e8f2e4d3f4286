//! Tests the arguments that only tests have. After an error the functions still exist, without a test of them.

#[tasktrace::test(timeout)]
async fn no_value() {}

#[tasktrace::test(timeout = 30)]
async fn number() {}

#[tasktrace::test(timeout = none)]
async fn no_literal() {}

#[tasktrace::test(timeout("30s"))]
async fn parentheses() {}

#[tasktrace::test(timeout = "", start_paused = true)]
async fn empty() {}

#[tasktrace::test(timeout = "never")]
async fn never() {}

#[tasktrace::test(flavor = "multi_thread", timeout = "30")]
async fn no_unit() {}

#[tasktrace::test(timeout = "0s", block_on = run)]
async fn zero() {}

#[tasktrace::test(timeout = "30s", block_on = run, timeout = "none")]
async fn twice() {}

#[tasktrace::test(dump_on_signal = "STOP")]
async fn signal() {}

fn run<F: Future>(_: F) -> F::Output {
    unimplemented!()
}

fn main() {
    no_value();
    number();
    no_literal();
    parentheses();
    empty();
    never();
    no_unit();
    zero();
    twice();
    signal();
    run(async {});
}
