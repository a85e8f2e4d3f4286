//! What is left to be sold.

use std::collections::BTreeMap;
use std::sync::Arc;

use tasktrace::traced;
use tokio::sync::Mutex;

use crate::upstream::Upstream;

/// How many there are of each article.
#[derive(Clone, Default)]
pub(crate) struct Stock(Arc<Mutex<BTreeMap<u32, i64>>>);

impl Stock {
    /// Takes one, and tells its price.
    ///
    /// This is what is wrong: all others wait while a price is asked for.
    #[traced("article {article}")]
    pub(crate) async fn take(&self, article: u32, upstream: &Upstream) -> std::io::Result<u64> {
        let mut stock = self.0.lock().await;
        let price = upstream.price(article).await?;
        *stock.entry(article).or_insert(1_000) -= 1;
        Ok(price)
    }
}
