use tasktrace::traced;

#[traced]
fn sync() -> u32 {
    1
}

#[traced]
pub(crate) const unsafe extern "C" fn constant() {}

/// The block after `async` is not the function's future.
#[traced]
fn closure() -> impl Fn() -> std::future::Ready<u32> {
    let _not_returned = || async move {};
    || std::future::ready(1)
}

#[traced]
fn named_future() -> std::future::Ready<u32> {
    std::future::ready(1)
}

#[traced]
fn no_future() -> std::pin::Pin<Box<dyn Fn() -> u32>> {
    Box::pin(|| 1)
}

#[traced]
fn other_pointer() -> Box<dyn Future<Output = u32> + Unpin> {
    Box::new(std::future::ready(1))
}

#[traced]
fn returns_closure() -> impl AsyncFn() {
    || async move {}
}

trait Trait {
    #[traced]
    async fn no_body(&self);

    #[traced]
    fn sync(&self) {}

    #[traced]
    type Type;

    #[traced]
    const CONST: u32 = 1;
}

#[traced]
pub struct Struct {
    field: u32,
}

#[traced]
#[derive(Clone, Copy)]
struct Unit;

#[traced]
enum Enum {}

#[traced]
union Union {
    field: u32,
}

impl Trait for Unit {
    async fn no_body(&self) {}

    type Type = Struct;
}

#[traced]
use std::fmt::Debug;

#[traced]
const CONST: fn() = || {};

#[traced]
static STATIC: u32 = 1;

#[traced]
type Alias = u32;

#[traced]
unsafe extern "C" {}

#[traced]
macro_rules! rules {
    () => {
        1
    };
}

#[traced]
thread_local! {}

/// All of the items still exist, so no use is an error.
async fn use_all() {
    let _: u32 = sync();
    unsafe { constant() };
    let _: u32 = closure()().await;
    returns_closure()().await;
    named_future().await;
    no_future()();
    other_pointer().await;
    Unit.no_body().await;
    Trait::sync(&Unit);
    let _ = <Unit as Trait>::CONST;
    let _ = Struct { field: 1 }.field;
    let _: Option<Enum> = None;
    let _ = Union { field: 1 };
    fn debug(_: impl Debug) {}
    debug(STATIC);
    CONST();
    let _: Alias = rules!();
}

fn main() {
    let _ = use_all();
}
