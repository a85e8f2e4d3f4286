//! One thing at a time is looked at, and those who ask for it meanwhile get what the first gets.
//!
//! Whatever takes time is done by threads of ours, which are there while there is something to do:
//! never in the future that waits for it, which is polled by the user's executor.
//!
//! An order joins
//!
//! * one for the same that waits, or that is being made;
//! * what is being looked at for another order, if it is about the same subject in another form.
//!
//! If it comes when that has been looked at already, it has to wait for the next look, unless the
//! same is just being made. So nobody gets anything that is older than the look which was under way,
//! and as many looks are taken as there would be if all clients took turns.
//!
//! An order that nobody waits for any more is dropped.
//!
//! The [desk](Desk) is small and never changed while it is locked: a changed copy takes its place, unless another thread
//! was faster. So nothing is allocated, freed or compared under the lock.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::os;
use crate::render;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as Guard, while_wanted};

/// What is done here.
pub(super) trait Craft: Send + Sync + 'static {
    type Order: PartialEq + Clone + Send + Sync;
    /// What an order is about.
    type Subject: PartialEq + Clone + Send + Sync;
    /// What there is to be seen of it.
    type Sight;
    type Product: Clone + Send;

    fn subject(order: &Self::Order) -> Self::Subject;

    /// Looks. It may stop when nobody wants to know any more.
    fn look(&self, order: &Self::Order, is_wanted: &dyn Fn() -> bool) -> Self::Sight;

    /// Makes the product that `order` asks for from a sight. It may stop when no requester waits any more.
    fn make(
        &self,
        sight: &Self::Sight,
        order: &Self::Order,
        is_wanted: &dyn Fn() -> bool,
    ) -> Self::Product;
}

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Width {
    /// So many subjects are looked at at the same time.
    pub(super) looks: usize,
    /// So many orders can wait.
    pub(super) orders: usize,
}

/// Where orders are placed.
pub(super) struct Gate<C: Craft>(Arc<Shared<C>>);

struct Shared<C: Craft> {
    craft: C,
    width: Width,
    /// The name of the threads.
    name: &'static str,
    desk: Mutex<Arc<Desk<C>>>,
}

struct Desk<C: Craft> {
    waiting: VecDeque<Placed<C>>,
    /// What the threads are at.
    under_way: Vec<UnderWay<C>>,
    threads: usize,
}

struct UnderWay<C: Craft> {
    number: u64,
    subject: C::Subject,
    stage: Stage,
    orders: VecDeque<Placed<C>>,
    /// The first of the orders was given up while it was being made, and has been removed.
    is_first_given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Looking,
    Making,
}

/// An order, and those who wait for it.
struct Placed<C: Craft> {
    order: C::Order,
    callers: Vec<Weak<Slot<C::Product>>>,
}

/// Why there is no product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    /// There is too much to do.
    Busy,
    /// It panicked.
    Failed,
}

impl<C: Craft> Clone for Desk<C> {
    fn clone(&self) -> Self {
        Self {
            waiting: self.waiting.clone(),
            under_way: self.under_way.clone(),
            threads: self.threads,
        }
    }
}

impl<C: Craft> Clone for UnderWay<C> {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            subject: self.subject.clone(),
            stage: self.stage,
            orders: self.orders.clone(),
            is_first_given_up: self.is_first_given_up,
        }
    }
}

impl<C: Craft> Clone for Placed<C> {
    fn clone(&self) -> Self {
        Self {
            order: self.order.clone(),
            callers: self.callers.clone(),
        }
    }
}

impl<C: Craft> Clone for Gate<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Craft> Gate<C> {
    pub(super) fn new(name: &'static str, width: Width, craft: C) -> Self {
        Self(Arc::new(Shared {
            craft,
            width,
            name,
            desk: Mutex::new(Arc::new(Desk {
                waiting: VecDeque::new(),
                under_way: Vec::new(),
                threads: 0,
            })),
        }))
    }

    /// Places an order. It is worked on until the ticket is dropped.
    pub(super) fn order(&self, order: C::Order) -> Ticket<C::Product> {
        let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
        let ticket = Ticket(Arc::clone(&slot));
        let width = self.0.width;
        let placing = self.0.change(|desk| {
            desk.drop_unwanted();
            if desk.join(&order, &slot) {
                return Placing::Placed;
            }
            let can_start = desk.threads < width.looks;
            if desk.waiting.len() >= width.orders && !can_start {
                return Placing::Busy;
            }
            desk.waiting.push_back(Placed::new(&order, &slot));
            if !can_start {
                return Placing::Placed;
            }
            desk.threads += 1;
            Placing::WithThread
        });
        match placing {
            Placing::Placed => {}
            Placing::WithThread => self.start(),
            Placing::Busy => slot.give(Err(Unmade::Busy)),
        }
        ticket
    }

    fn start(&self) {
        let spawned = os::thread::spawn(self.0.name, {
            let shared = Arc::clone(&self.0);
            move || shared.work()
        });
        if spawned.is_ok() {
            return;
        }
        let left = self.0.change(|desk| {
            desk.threads -= 1;
            match desk.threads {
                // No thread would get to them.
                0 => mem::take(&mut desk.waiting),
                _ => VecDeque::new(),
            }
        });
        for placed in left {
            placed.give(Err(Unmade::Busy));
        }
    }
}

/// The state of an order.
enum Placing {
    Placed,
    /// It needs another thread, which is counted already.
    WithThread,
    /// There is no room for it.
    Busy,
}

impl<C: Craft> Shared<C> {
    /// Returns the desk as it is now.
    fn desk(&self) -> Arc<Desk<C>> {
        Arc::clone(&self.locked())
    }

    fn locked(&self) -> Guard<'_, Arc<Desk<C>>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the desk. `change` is called again, with a copy of a later desk, if another thread has changed it
    /// meanwhile.
    fn change<R>(&self, change: impl Fn(&mut Desk<C>) -> R) -> R {
        loop {
            let before = self.desk();
            let mut changed = Desk::clone(&before);
            let result = change(&mut changed);
            let mut changed = Arc::new(changed);
            let mut current = self.locked();
            // `before` is alive, so no other desk is at its address.
            let is_as_before = Arc::ptr_eq(&current, &before);
            if is_as_before {
                mem::swap(&mut *current, &mut changed);
            }
            drop(current);
            if is_as_before {
                return result;
            }
        }
    }

    /// Returns `true` if a requester waits for the work that is under way. Otherwise that work is given up, and
    /// later requesters start another.
    fn is_wanted(&self, number: u64) -> bool {
        self.desk().is_wanted(number) || self.change(|desk| desk.give_up_unless_wanted(number))
    }

    /// The same for the order that is being made.
    fn is_first_wanted(&self, number: u64) -> bool {
        self.desk().is_first_wanted(number)
            || self.change(|desk| desk.give_up_first_unless_wanted(number))
    }

    /// Does what is to be done, until there is nothing left.
    fn work(self: &Arc<Self>) {
        let memory = os::memory::Use::start();
        while let Some((number, order)) = self.next() {
            let shared = Arc::clone(self);
            let is_wanted = move || shared.is_wanted(number);
            while_wanted(is_wanted, || self.work_on(number, &order));
            self.change(|desk| desk.end(number));
        }
        if memory.is_much_left() {
            render::forget_debug_info();
            os::memory::give_back();
        }
    }

    fn work_on(&self, number: u64, order: &C::Order) {
        let is_wanted = || self.is_wanted(number);
        // The panic has been told of, by the hook.
        let look = AssertUnwindSafe(|| self.craft.look(order, &is_wanted));
        let sight = catch_unwind(look).map_err(|_| Unmade::Failed);
        self.change(|desk| desk.close(number));
        let first = || self.change(|desk| desk.first(number));
        let is_wanted = || self.is_first_wanted(number);
        while let Some(order) = first() {
            let make = |sight| {
                let make = AssertUnwindSafe(|| self.craft.make(sight, &order, &is_wanted));
                catch_unwind(make).map_err(|_| Unmade::Failed)
            };
            let product = sight.as_ref().map_err(|error| *error).and_then(make);
            // Those who have come while it was made get it too.
            let made = self.change(|desk| desk.take_first(number));
            if let Some(made) = made {
                made.give(product);
            }
        }
    }

    /// What is to be looked at next, with all orders that are about it.
    fn next(&self) -> Option<(u64, C::Order)> {
        self.change(|desk| {
            desk.drop_unwanted();
            let next = desk.begin();
            if next.is_none() {
                desk.threads -= 1;
            }
            next
        })
    }
}

impl<C: Craft> Desk<C> {
    /// Adds a caller to what there is already. Returns `false` if there is nothing to join.
    fn join(&mut self, order: &C::Order, slot: &Arc<Slot<C::Product>>) -> bool {
        let made = self.under_way.iter_mut().flat_map(|it| &mut it.orders);
        let mut placed = made.chain(&mut self.waiting);
        if let Some(same) = placed.find(|it| it.order == *order) {
            same.callers.push(Arc::downgrade(slot));
            return true;
        }
        let subject = C::subject(order);
        let mut looking = self.under_way.iter_mut();
        match looking.find(|it| it.stage == Stage::Looking && it.subject == subject) {
            Some(looking) => {
                looking.orders.push_back(Placed::new(order, slot));
                true
            }
            None => false,
        }
    }

    fn drop_unwanted(&mut self) {
        self.waiting.retain(Placed::is_wanted);
    }

    fn begin(&mut self) -> Option<(u64, C::Order)> {
        let first = self.waiting.pop_front()?;
        let order = first.order.clone();
        let subject = C::subject(&order);
        let (same, others): (VecDeque<_>, VecDeque<_>) = mem::take(&mut self.waiting)
            .into_iter()
            .partition(|it| C::subject(&it.order) == subject);
        self.waiting = others;
        let numbers = self.under_way.iter().map(|it| it.number);
        let number = numbers.max().unwrap_or_default() + 1;
        self.under_way.push(UnderWay {
            number,
            subject,
            stage: Stage::Looking,
            orders: std::iter::once(first).chain(same).collect(),
            is_first_given_up: false,
        });
        Some((number, order))
    }

    fn find(&self, number: u64) -> Option<&UnderWay<C>> {
        self.under_way.iter().find(|it| it.number == number)
    }

    fn under_way(&mut self, number: u64) -> Option<&mut UnderWay<C>> {
        self.under_way.iter_mut().find(|it| it.number == number)
    }

    fn is_wanted(&self, number: u64) -> bool {
        let under_way = self.find(number);
        under_way.is_some_and(|it| it.orders.iter().any(Placed::is_wanted))
    }

    fn give_up_unless_wanted(&mut self, number: u64) -> bool {
        let is_wanted = self.is_wanted(number);
        if let Some(under_way) = self.under_way(number).filter(|_| !is_wanted) {
            under_way.is_first_given_up |= !under_way.orders.is_empty();
            under_way.orders.clear();
            under_way.stage = Stage::Making;
        }
        is_wanted
    }

    fn is_first_wanted(&self, number: u64) -> bool {
        let under_way = self.find(number).filter(|it| !it.is_first_given_up);
        let first = under_way.and_then(|it| it.orders.front());
        first.is_some_and(Placed::is_wanted)
    }

    fn give_up_first_unless_wanted(&mut self, number: u64) -> bool {
        let is_wanted = self.is_first_wanted(number);
        let under_way = self.under_way(number);
        if let Some(under_way) = under_way.filter(|it| !is_wanted && !it.is_first_given_up) {
            under_way.is_first_given_up = under_way.orders.pop_front().is_some();
        }
        is_wanted
    }

    /// No more orders of another form.
    fn close(&mut self, number: u64) {
        if let Some(under_way) = self.under_way(number) {
            under_way.stage = Stage::Making;
        }
    }

    /// What is to be made next.
    fn first(&mut self, number: u64) -> Option<C::Order> {
        let under_way = self.under_way(number)?;
        under_way.is_first_given_up = false;
        let orders = &mut under_way.orders;
        while orders.front().is_some_and(|it| !it.is_wanted()) {
            orders.pop_front();
        }
        orders.front().map(|it| it.order.clone())
    }

    fn take_first(&mut self, number: u64) -> Option<Placed<C>> {
        let under_way = self.under_way(number)?;
        match under_way.is_first_given_up {
            true => None,
            false => under_way.orders.pop_front(),
        }
    }

    fn end(&mut self, number: u64) {
        self.under_way.retain(|it| it.number != number);
    }
}

impl<C: Craft> Placed<C> {
    fn new(order: &C::Order, slot: &Arc<Slot<C::Product>>) -> Self {
        Self {
            order: order.clone(),
            callers: vec![Arc::downgrade(slot)],
        }
    }

    fn is_wanted(&self) -> bool {
        self.callers.iter().any(|it| it.strong_count() > 0)
    }

    fn give(self, product: Result<C::Product, Unmade>) {
        for caller in self.callers.iter().filter_map(Weak::upgrade) {
            caller.give(product.clone());
        }
    }
}

/// What one caller waits at.
struct Slot<P>(Mutex<State<P>>);

enum State<P> {
    Waiting(Option<Waker>),
    Given(Result<P, Unmade>),
}

impl<P> Slot<P> {
    fn state(&self) -> Guard<'_, State<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, product: Result<P, Unmade>) {
        let before = mem::replace(&mut *self.state(), State::Given(product));
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// A product that is being waited for. It belongs to no executor.
pub(super) struct Ticket<P>(Arc<Slot<P>>);

impl<P> Future for Ticket<P> {
    type Output = Result<P, Unmade>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned at each poll: so this is a leaf of the task that waits, which may be asked as well.
        let waker = State::Waiting(Some(cx.waker().clone()));
        let mut state = self.0.state();
        match mem::replace(&mut *state, waker) {
            State::Given(product) => Poll::Ready(product),
            before @ State::Waiting(_) => {
                drop(state);
                // Not while it is locked: it is others' code.
                drop(before);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests;
