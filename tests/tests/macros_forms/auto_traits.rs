//! Tests that the future implements `Send` where it would without the attribute.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use futures::executor::block_on;
use tasktrace::traced;

use crate::pause;

const fn require_send<T: Send>(future: T) -> T {
    future
}

#[traced]
async fn sent<T>(value: T, borrowed: &T) -> T
where
    T: Send + Sync,
{
    let _: &T = borrowed;
    pause().await;
    value
}

/// Takes an argument that is `Send` and not `Sync`: the future is `Send` only if it owns the argument.
#[traced]
async fn not_sync(cell: Cell<u32>) -> u32 {
    cell.set(cell.get() + 1);
    pause().await;
    cell.get()
}

#[traced]
#[expect(clippy::future_not_send, reason = "it is the point")]
async fn not_send(value: Rc<u32>) -> u32 {
    let other = Rc::clone(&value);
    pause().await;
    *other
}

#[traced]
async fn recursive(depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    deeper(depth - 1).await + 1
}

fn deeper(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(recursive(depth))
}

#[test]
fn futures_are_send_as_without_the_attribute() {
    assert_eq!(block_on(require_send(sent(1, &2))), 1);
    assert_eq!(block_on(require_send(not_sync(Cell::new(1)))), 2);
    assert_eq!(block_on(not_send(Rc::new(3))), 3);
    assert_eq!(block_on(require_send(recursive(4))), 4);
}
