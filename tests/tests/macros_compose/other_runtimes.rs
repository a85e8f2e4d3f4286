//! Tests `#[traced]` below the attributes of other runtimes, on functions as these attributes rewrite them.

use super::*;

/// A runtime that counts the futures that it runs.
struct System(Cell<Box<u32>>);

impl System {
    fn new() -> Self {
        Self(Cell::default())
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        futures::executor::block_on(self.run(future))
    }

    fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.set(Box::new(*self.0.take() + 1));
        future
    }
}

fn test_block_on<F: Future>(future: F) -> F::Output {
    System::new().block_on(future)
}

fn run_test<F: Future>(test: fn(u32) -> F, argument: u32) -> F::Output {
    System::new().block_on(test(argument))
}

/// Has the form that `actix_web::main`, `ntex::main` and `compio::main` produce.
#[traced(crate = probe)]
fn method() -> Result<u32, std::num::ParseIntError> {
    <System>::new().block_on(async move {
        {
            std::future::ready(()).await;
            let number = "1".parse()?;
            Ok(number)
        }
    })
}

/// Has the form that `#[sqlx::test]` and `#[async_std::test]` produce.
#[traced("{text}", crate = probe)]
fn function(text: &str) -> usize {
    self::test_block_on(async { text.len() })
}

/// Has the form that `#[sqlx::test]` with a pool produces.
#[traced("argument {argument}", crate = probe)]
fn inner_function() -> u32 {
    async fn inner_function(argument: u32) -> u32 {
        std::future::ready(argument).await
    }

    let argument = 3;
    let test: fn(_) -> _ = inner_function;
    run_test(test, argument)
}

#[traced(crate = probe)]
fn variable() -> u32 {
    let system = System::new();
    let main = async move { std::future::ready(4).await };
    let output = system.block_on(main);
    drop(system);
    output
}

/// Has the form that `smol_macros::main` produces.
macro_rules! smol_main {
    (
        $(#[$attr:meta])*
        async fn $name:ident ($ex:ident : &$ty:ty) -> $output:ty $block:block
    ) => {
        $(#[$attr])*
        fn $name() -> $output {
            (|ex: &$ty| {
                test_block_on(ex.run(async move {
                    let $ex = ex;
                    $block
                }))
            })(&<$ty>::new())
        }
    };
}

smol_main! {
    #[traced(crate = probe)]
    async fn executor(ex: &System) -> u32 {
        ex.run(async { 5 }).await
    }
}

/// Runs a future first that is not the one it returns.
#[traced(crate = probe)]
fn returns_another() -> impl Future<Output = u32> {
    let ran = System::new().run(async { 6 });
    async_from(ran)
}

async fn async_from(future: impl Future<Output = u32>) -> u32 {
    std::future::ready(()).await;
    future.await
}

#[test]
fn functions_rewritten_by_other_runtimes_are_frames() {
    assert_eq!(method(), Ok(1));
    assert_eq!(function("ab"), 2);
    assert_eq!(inner_function(), 3);
    assert_eq!(variable(), 4);
    assert_eq!(executor(), 5);
    assert_eq!(futures::executor::block_on(returns_another()), 6);
    let names = [
        "method",
        "function",
        "inner_function",
        "variable",
        "executor",
        "returns_another",
    ];
    assert_eq!(probe::names(), names.map(frame));
    assert_eq!(probe::labels(), ["ab", "argument 3"]);
}
