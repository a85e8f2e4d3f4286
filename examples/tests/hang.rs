//! Why does my test hang? Money goes from one account to another and back at the same time, and each
//! transfer locks the account that it takes from first.
//!
//! ```console
//! $ cargo test --test hang -- --nocapture
//! ```

use std::sync::Arc;

use tasktrace::traced;
use tokio::sync::Mutex;
use tokio::task::yield_now;

type Account = Arc<Mutex<u64>>;

#[traced("{amount} from {name}")]
async fn transfer(name: &str, from: Account, to: Account, amount: u64) {
    let mut from = from.lock().await;
    yield_now().await;
    let mut to = to.lock().await;
    *from -= amount;
    *to += amount;
}

/// Fails without its `should_panic` attribute.
#[tasktrace::test(timeout = "2s")]
#[should_panic(expected = "hang::transfer \"10 from ann\" at examples/tests/hang.rs")]
async fn there_and_back() {
    let (ann, bob) = (Account::default(), Account::default());
    tokio::join!(
        transfer("ann", ann.clone(), bob.clone(), 10),
        transfer("bob", bob, ann, 20),
    );
}
