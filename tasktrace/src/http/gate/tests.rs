//! Who gets what, and how often is looked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use super::*;

/// So long nothing takes.
const LONG: Duration = Duration::from_secs(30);

/// Its orders are a subject and a form; what is made of them says which look it is of.
struct Numbered {
    looks: AtomicUsize,
    makes: AtomicUsize,
    /// Says that it has begun to look, and looks until it is told to go on.
    steps: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

type Order = (u8, char);

impl Craft for Numbered {
    type Order = Order;
    type Subject = u8;
    type Sight = usize;
    type Product = (Order, usize);

    fn subject(order: &Order) -> u8 {
        order.0
    }

    fn look(&self, order: &Order, is_wanted: &dyn Fn() -> bool) -> usize {
        assert_ne!(order.0, 13, "this order makes it panic");
        if let Some((begun, go_on)) = &*self.steps.lock().unwrap() {
            begun.send(()).unwrap();
            go_on.recv_timeout(LONG).unwrap();
        }
        assert!(is_wanted() || order.0 == 7);
        self.looks.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn make(&self, sight: &usize, order: &Order, _: &dyn Fn() -> bool) -> (Order, usize) {
        self.makes.fetch_add(1, Ordering::Relaxed);
        (*order, *sight)
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[track_caller]
fn wait<P>(mut ticket: Ticket<P>) -> Result<P, Unmade> {
    let waker = Arc::new(Unpark(thread::current())).into();
    let deadline = std::time::Instant::now() + LONG;
    loop {
        if let Poll::Ready(product) = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)) {
            return product;
        }
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        assert!(!left.is_zero(), "nobody has made it");
        thread::park_timeout(left);
    }
}

fn gate(looks: usize, orders: usize) -> (Gate<Numbered>, Receiver<()>, Sender<()>) {
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel();
    let craft = Numbered {
        looks: AtomicUsize::new(0),
        makes: AtomicUsize::new(0),
        steps: Mutex::new(Some((begun, goes_on))),
    };
    let width = Width { looks, orders };
    (Gate::new("tasktrace-gate", width, craft), begins, go_on)
}

#[test]
fn callers_join_what_is_under_way() {
    let (gate, begins, go_on) = gate(1, 4);
    let first = gate.order((1, 'a'));
    begins.recv_timeout(LONG).unwrap();
    let same = gate.order((1, 'a'));
    let other_form = gate.order((1, 'b'));
    let other_subject = gate.order((2, 'a'));
    go_on.send(()).unwrap();
    assert_eq!(wait(first), Ok(((1, 'a'), 1)));
    assert_eq!(wait(same), Ok(((1, 'a'), 1)));
    assert_eq!(wait(other_form), Ok(((1, 'b'), 1)));
    begins.recv_timeout(LONG).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(wait(other_subject), Ok(((2, 'a'), 2)));
    assert_eq!(gate.0.craft.makes.load(Ordering::Relaxed), 3);
}

#[test]
fn a_later_caller_gets_a_later_look() {
    let (gate, begins, go_on) = gate(1, 4);
    for look in 1..=3 {
        let ticket = gate.order((1, 'a'));
        begins.recv_timeout(LONG).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(wait(ticket), Ok(((1, 'a'), look)));
    }
}

#[test]
fn what_nobody_waits_for_is_not_made() {
    let (gate, begins, go_on) = gate(1, 1);
    let first = gate.order((7, 'a'));
    begins.recv_timeout(LONG).unwrap();
    // There is room for another one each time.
    for _ in 0..3 {
        drop(gate.order((2, 'a')));
    }
    drop(first);
    let last = gate.order((3, 'a'));
    go_on.send(()).unwrap();
    begins.recv_timeout(LONG).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(wait(last), Ok(((3, 'a'), 2)));
    assert_eq!(gate.0.craft.makes.load(Ordering::Relaxed), 1);
}

#[test]
fn there_is_an_end_to_what_can_wait() {
    let (gate, begins, go_on) = gate(1, 1);
    let first = gate.order((1, 'a'));
    begins.recv_timeout(LONG).unwrap();
    let second = gate.order((2, 'a'));
    assert_eq!(wait(gate.order((3, 'a'))), Err(Unmade::Busy));
    let joined = gate.order((2, 'a'));
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    assert!(wait(first).is_ok() && wait(second).is_ok() && wait(joined).is_ok());
}

#[test]
fn several_can_be_looked_at() {
    let (gate, begins, go_on) = gate(2, 0);
    *gate.0.craft.steps.lock().unwrap() = None;
    drop((begins, go_on));
    for round in 0..100 {
        let tickets = [(1, 'a'), (2, 'a')].map(|order| gate.order(order));
        for ticket in tickets {
            match wait(ticket) {
                Ok(_) => {}
                // The threads of the last round may not have ended yet.
                Err(why) => assert!(why == Unmade::Busy && round > 0),
            }
        }
    }
}

#[test]
fn a_panic_is_told_and_the_next_one_is_served() {
    let (gate, _begins, go_on) = gate(1, 4);
    assert_eq!(wait(gate.order((13, 'a'))), Err(Unmade::Failed));
    go_on.send(()).unwrap();
    assert_eq!(wait(gate.order((1, 'a'))), Ok(((1, 'a'), 1)));
}

/// Looks, and then makes, for as long as somebody waits for it, unless that is said to be done.
struct Endless {
    done: AtomicUsize,
    begun: Sender<&'static str>,
}

impl Craft for Endless {
    type Order = Order;
    type Subject = u8;
    type Sight = ();
    type Product = usize;

    fn subject(order: &Order) -> u8 {
        order.0
    }

    fn look(&self, order: &Order, _: &dyn Fn() -> bool) {
        self.begun.send("look").unwrap();
        while order.1 == 'l' && !crate::sync::is_unwanted() {
            thread::yield_now();
        }
    }

    fn make(&self, (): &(), order: &Order, is_wanted: &dyn Fn() -> bool) -> usize {
        self.begun.send("make").unwrap();
        while order.1 == 'm' && is_wanted() {
            thread::yield_now();
        }
        self.done.fetch_add(1, Ordering::Relaxed)
    }
}

#[test]
fn work_is_given_up_once_no_requester_waits() {
    let (begun, begins) = channel();
    let craft = Endless {
        done: AtomicUsize::new(0),
        begun,
    };
    let width = Width {
        looks: 1,
        orders: 8,
    };
    let gate = Gate::new("endless", width, craft);
    let begins = || begins.recv_timeout(LONG).unwrap();

    let looking = gate.order((1, 'l'));
    assert_eq!(begins(), "look");
    drop(looking);

    // An order of the same subject would join the look, so this is one of another subject.
    let making = gate.order((2, 'm'));
    assert_eq!((begins(), begins()), ("look", "make"));
    // It is another form of the same subject, but that was looked at already.
    let after = gate.order((2, 'a'));
    drop(making);

    assert_eq!((begins(), begins()), ("look", "make"));
    assert_eq!(wait(after), Ok(1));
}

#[test]
fn a_request_that_comes_while_work_is_given_up_starts_it_anew() {
    let (begun, begins) = channel();
    let craft = Endless {
        done: AtomicUsize::new(0),
        begun,
    };
    let width = Width {
        looks: 1,
        orders: 8,
    };
    let gate = Gate::new("endless", width, craft);
    let making = gate.order((1, 'm'));
    assert_eq!(begins.recv_timeout(LONG).unwrap(), "look");
    assert_eq!(begins.recv_timeout(LONG).unwrap(), "make");
    drop(making);
    // It may come before or after it was noticed that the other has gone. If before, it is the same.
    let same = gate.order((1, 'm'));
    let other = gate.order((2, 'a'));
    thread::yield_now();
    drop(same);
    assert!(wait(other).is_ok());
}
