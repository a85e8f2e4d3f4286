//! Tests labels that name arguments which another attribute moves.

use super::*;

/// An argument that is neither copied nor borrowed.
struct Peer(String);

#[traced("{} {id}", peer.0, wait_limit = "1s", crate = probe)]
#[tokio::main]
async fn tokio_above(peer: Peer, id: u32) -> Peer {
    tokio::task::yield_now().await;
    let _: u32 = id;
    peer
}

#[tokio::main]
#[traced("{} {id}", peer.0, crate = probe)]
async fn tokio_below(peer: Peer, id: u32) -> Peer {
    tokio::task::yield_now().await;
    let _: u32 = id;
    peer
}

#[instrument(skip(peer))]
#[traced("{} {id}", peer.0, crate = probe)]
async fn instrument_above(peer: Peer, id: u32) -> Option<&'static str> {
    drop(peer);
    span_after_a_pause().await
}

#[traced("{} {id}", peer.0, crate = probe, wait_limit = "2s")]
#[instrument(skip(peer))]
async fn instrument_below(peer: Peer, id: u32) -> Option<&'static str> {
    drop(peer);
    span_after_a_pause().await
}

#[traced("{} {id}", peer.0, crate = probe)]
#[tasktrace::main(block_on = futures::executor::block_on)]
async fn main_below(peer: Peer, id: u32) -> usize {
    peer.0.len() + usize::try_from(id).unwrap_or_default()
}

#[tasktrace::main]
#[traced("{} {id}", peer.0, crate = probe)]
async fn main_above(peer: Peer, id: u32) -> usize {
    peer.0.len() + usize::try_from(id).unwrap_or_default()
}

fn peer() -> Peer {
    Peer("::1".to_owned())
}

#[test]
fn labels_of_functions_name_arguments_that_other_attributes_move() {
    assert_eq!(tokio_above(peer(), 1).0, "::1");
    assert_eq!(tokio_below(peer(), 2).0, "::1");
    collect_spans();
    futures::executor::block_on(async {
        assert_eq!(instrument_above(peer(), 3).await, Some("instrument_above"));
        assert_eq!(instrument_below(peer(), 4).await, Some("instrument_below"));
    });
    assert_eq!(main_below(peer(), 5), 8);
    assert_eq!(main_above(peer(), 6), 9);
    assert_eq!(
        probe::labels(),
        ["::1 1", "::1 2", "::1 3", "::1 4", "::1 5", "::1 6"]
    );
    assert_eq!(
        probe::limits(),
        [Duration::from_secs(1), Duration::from_secs(2)]
    );
}

#[async_trait]
trait Service {
    async fn by_ref(&self, text: &str) -> Option<&'static str>;
    async fn by_mut(&mut self, text: String) -> usize;
    async fn by_value(self, mut items: Vec<u32>) -> Vec<u32>;

    #[traced("{value} in {}", std::any::type_name::<Self>(), crate = probe, wait_limit = "3s")]
    async fn provided(value: u32) -> u32 {
        tokio::task::yield_now().await;
        value
    }
}

#[async_trait]
impl Service for Peer {
    #[instrument(skip_all)]
    #[traced("{} {text}", self.0, crate = probe)]
    async fn by_ref(&self, text: &str) -> Option<&'static str> {
        span_after_a_pause().await
    }

    #[traced("{0} {text}", self.0, crate = probe)]
    #[instrument(skip_all)]
    async fn by_mut(&mut self, text: String) -> usize {
        tokio::task::yield_now().await;
        self.0 = text;
        self.0.len()
    }

    #[traced("{} {items:?}", self.0, crate = probe)]
    async fn by_value(self, mut items: Vec<u32>) -> Vec<u32> {
        tokio::task::yield_now().await;
        items.push(1);
        items
    }
}

#[test]
fn labels_of_async_trait_methods_name_their_arguments() {
    collect_spans();
    futures::executor::block_on(async {
        assert_eq!(peer().by_ref("a").await, Some("by_ref"));
        assert_eq!(peer().by_mut("b".to_owned()).await, 1);
        assert_eq!(peer().by_value(vec![0]).await, [0, 1]);
        assert_eq!(<Peer as Service>::provided(2).await, 2);
    });
    let provided = format!("2 in {}", std::any::type_name::<Peer>());
    assert_eq!(
        probe::labels(),
        ["::1 a", "::1 b", "::1 [0]", provided.as_str()]
    );
    assert_eq!(probe::limits(), [Duration::from_secs(3)]);
}
