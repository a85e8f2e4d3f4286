#[tasktrace::main]
struct Struct;

#[tasktrace::main]
fn not_async() -> u32 {
    1
}

#[tasktrace::test]
fn not_async_test() {}

#[tasktrace::test]
mod module {}

trait Trait {
    #[tasktrace::main]
    async fn no_body();
}

#[tasktrace::test]
#[test]
async fn second_test() {}

#[tasktrace::test]
#[tokio::test(flavor = "multi_thread")]
async fn second_test_of_tokio() {}

#[tokio::test]
#[tasktrace::test]
async fn second_test_above() {}

#[tasktrace::main]
#[tokio::main]
async fn second_main() -> u32 {
    1
}

#[tokio::main]
#[tasktrace::main]
async fn second_main_above() -> u32 {
    1
}

fn main() {
    let _: Struct = Struct;
    let _: u32 = not_async() + second_main() + second_main_above();
}
