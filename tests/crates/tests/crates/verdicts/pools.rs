//! Tests verdicts about pools, databases and caches.

use redis::aio::MultiplexedConnection;
use tasktrace_crates::{HOUR, Manager, postgres_server, redis_server, silent_server};

/// Returns a pool of one connection.
async fn pool_of_one() -> sqlx::PgPool {
    let url = format!("postgres://me@{}/db", postgres_server().await);
    let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(HOUR);
    options.max_connections(1).connect_lazy(&url).unwrap()
}

super::hangs! {
    deadpool("in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)") {
        let pool = ::deadpool::managed::Pool::<Manager>::builder(Manager);
        let pool = pool.max_size(1).build().unwrap();
        let _taken = pool.get().await.unwrap();
        let pool = &pool;
    } fetch(pool: &::deadpool::managed::Pool<Manager>) {
        let _ = pool.get().await;
    }

    bb8("in bb8::Pool::get (tokio::sync::Notify::notified)") {
        let pool = ::bb8::Pool::builder().max_size(1);
        let pool = pool.build(Manager).await.unwrap();
        let _taken = pool.get().await.unwrap();
        let pool = &pool;
    } fetch(pool: &::bb8::Pool<Manager>) {
        let _ = pool.get().await;
    }

    mobc("in mobc::Pool::get (tokio::sync::Semaphore::acquire_owned)") {
        let pool = ::mobc::Pool::builder().max_open(1).build(Manager);
        let _taken = pool.get().await.unwrap();
        let pool = &pool;
    } fetch(pool: &::mobc::Pool<Manager>) {
        let _ = pool.get().await;
    }

    moka("in moka::future::Cache::get_with (another call initializes the value)") {
        let cache = ::moka::future::Cache::new(1);
        let first = cache.clone();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let load = async {
                begun.send(()).unwrap();
                std::future::pending::<u32>().await
            };
            first.get_with(1, load).await
        });
        has_begun.await.unwrap();
        let cache = &cache;
    } fetch(cache: &::moka::future::Cache<u32, u32>) {
        let _ = cache.get_with(1, async { 2 }).await;
    }

    moka_initializer("on tokio::sync::oneshot::Receiver") {
        let cache = ::moka::future::Cache::new(1);
        let (_sender, receiver) = tokio::sync::oneshot::channel();
        let cache = &cache;
    } fetch(cache: &::moka::future::Cache<u32, u32>, receiver: tokio::sync::oneshot::Receiver<u32>) {
        let load = async { receiver.await.unwrap() };
        let _ = cache.get_with(1, load).await;
    }

    redis_connects("in redis::Client::get_multiplexed_async_connection (redis::aio::MultiplexedConnection)") {
        let url = format!("redis://{}/", silent_server());
        let url = &url;
    } fetch(url: &str) {
        let client = redis::Client::open(url).unwrap();
        let _ = client.get_multiplexed_async_connection().await;
    }

    redis_query("in redis::Cmd::query_async (redis::aio::MultiplexedConnection)") {
        let client = redis::Client::open(redis_server().await).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        connection.set_response_timeout(HOUR);
        let connection = &mut connection;
    } fetch(connection: &mut MultiplexedConnection) {
        let _ = redis::cmd("GET").arg("x").query_async::<String>(connection).await;
    }

    sqlx_connects("in sqlx::Pool::acquire (tokio::net::TcpStream::read_ready)") {
        let url = format!("postgres://me@{}/db", silent_server());
        let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(HOUR);
        let pool = options.connect_lazy(&url).unwrap();
        let pool = &pool;
    } fetch(pool: &sqlx::PgPool) {
        let _ = pool.acquire().await;
    }

    sqlx_acquire("in sqlx::Pool::acquire (tokio::sync::Semaphore::acquire_many)") {
        let pool = &pool_of_one().await;
        let _taken = pool.acquire().await.unwrap();
    } fetch(pool: &sqlx::PgPool) {
        let _ = pool.acquire().await;
    }

    sqlx_query("in sqlx::Query::fetch_one (tokio::net::TcpStream::read_ready)") {
        let url = format!("postgres://me@{}/db", postgres_server().await);
        let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(HOUR);
        let pool = options.connect_lazy(&url).unwrap();
        let pool = &pool;
    } fetch(pool: &sqlx::PgPool) {
        let _ = sqlx::query("select 1").fetch_one(pool).await;
    }

    sqlx_query_waits_for_the_pool("in sqlx::Query::fetch_one (sqlx::Pool::acquire)") {
        let pool = &pool_of_one().await;
        let _taken = pool.acquire().await.unwrap();
    } fetch(pool: &sqlx::PgPool) {
        let _ = sqlx::query("select 1").fetch_one(pool).await;
    }

    tokio_postgres_connects("in tokio_postgres::connect (tokio::net::TcpStream::read)") {
        let address = silent_server();
        let config = format!("host={} port={} user=me", address.ip(), address.port());
        let config = &config;
    } fetch(config: &str) {
        let _ = tokio_postgres::connect(config, tokio_postgres::NoTls).await;
    }

    tokio_postgres_query("in tokio_postgres::Client::query (futures::channel::mpsc::Receiver::next)") {
        let address = postgres_server().await;
        let config = format!("host={} port={} user=me", address.ip(), address.port());
        let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let client = &client;
    } fetch(client: &tokio_postgres::Client) {
        let _ = client.query("select 1", &[]).await;
    }
}
