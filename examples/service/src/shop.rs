//! Handles the requests of the shop's customers.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tasktrace::traced;

use crate::pool::Pool;
use crate::stock::Stock;
use crate::upstream::Upstream;
use crate::worker;

#[derive(Clone)]
struct Shop {
    pool: Pool,
    stock: Stock,
    upstream: Upstream,
}

pub(crate) fn router(upstream: Upstream) -> Router {
    let shop = Shop {
        pool: Pool::new(),
        stock: Stock::default(),
        upstream,
    };
    Router::new()
        .route("/", get(|| async { "orders, reports and thumbnails\n" }))
        .route("/order/{article}", get(order))
        .route("/report/{name}", get(report))
        .route("/thumbnail/{picture}", get(thumbnail))
        .with_state(shop)
}

#[traced("GET /order/{article}")]
async fn order(State(shop): State<Shop>, Path(article): Path<u32>) -> Result<String, StatusCode> {
    let price = shop.stock.take(article, &shop.upstream).await;
    let price = price.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let connection = shop.pool.connection().await;
    connection.query("insert into orders values ($1)").await;
    Ok(format!("article {article} for {price}\n"))
}

/// The problem: a report keeps its connection while it waits for prices.
#[traced("GET /report/{name}")]
async fn report(State(shop): State<Shop>, Path(name): Path<String>) -> Result<String, StatusCode> {
    let connection = shop.pool.connection().await;
    connection
        .query("select article, sum(price) from orders group by 1")
        .await;
    let mut total = 0;
    for article in 0..20 {
        let price = shop.upstream.price(article).await;
        total += price.map_err(|_| StatusCode::BAD_GATEWAY)?;
    }
    Ok(format!("report {name}: {total}\n"))
}

#[traced("GET /thumbnail/{picture}")]
async fn thumbnail(Path(picture): Path<u32>) -> String {
    let checksum = worker::thumbnail(picture).await;
    format!("picture {picture}: {checksum:08x}\n")
}
