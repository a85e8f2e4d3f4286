//! Keeps the stock of the shop.

use std::collections::BTreeMap;
use std::sync::Arc;

use tasktrace::traced;
use tokio::sync::Mutex;

use crate::upstream::Upstream;

/// The number of items of each article.
#[derive(Clone, Default)]
pub(crate) struct Stock(Arc<Mutex<BTreeMap<u32, i64>>>);

impl Stock {
    /// Takes an item, and returns its price.
    ///
    /// The problem: all other orders wait for the lock while this one waits for a price.
    #[traced("article {article}")]
    pub(crate) async fn take(&self, article: u32, upstream: &Upstream) -> std::io::Result<u64> {
        let mut stock = self.0.lock().await;
        let price = upstream.price(article).await?;
        *stock.entry(article).or_insert(1_000) -= 1;
        Ok(price)
    }
}
