//! What is shown: the tasks, and what was chosen of them.
//!
//! What has been received is not changed, and only what fits on the screen is made into text: there
//! may be 100,000 tasks.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::args::Sort;
use crate::document::{Group, View};
use crate::output::visible;

/// What is chosen to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Groups,
    /// Each task.
    Tasks,
    /// Those of the group with this name.
    Members(String),
}

/// A row of the list: a group, or one of its tasks, by their places in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) group: usize,
    pub(crate) member: Option<usize>,
}

/// What a row is known by in the next document.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Group(String),
    Task(u64),
}

/// A task that has been opened.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) task: u64,
    /// As the process prints it. `None` until it has.
    pub(crate) lines: Option<Vec<String>>,
    /// How many lines are above the screen.
    pub(crate) scroll: usize,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) view: Option<View>,
    /// When it was received.
    pub(crate) received: Instant,
    pub(crate) list: List,
    pub(crate) rows: Vec<Row>,
    pub(crate) selected: usize,
    key: Option<Key>,
    pub(crate) open: Option<Open>,
    pub(crate) sort: Sort,
    pub(crate) filter: String,
    /// The filter is being written.
    pub(crate) is_filtering: bool,
    pub(crate) is_paused: bool,
    pub(crate) is_helping: bool,
    pub(crate) snapshot: bool,
    pub(crate) interval: Duration,
    /// Why there is nothing newer.
    pub(crate) failure: Option<String>,
}

impl State {
    pub(crate) fn new(sort: Sort, filter: String, snapshot: bool, interval: Duration) -> Self {
        Self {
            view: None,
            received: Instant::now(),
            list: List::Groups,
            rows: Vec::new(),
            selected: 0,
            key: None,
            open: None,
            sort,
            filter,
            is_filtering: false,
            is_paused: false,
            is_helping: false,
            snapshot,
            interval,
            failure: None,
        }
    }

    /// Takes what has been received.
    pub(crate) fn receive(&mut self, view: Result<View, String>, now: Instant) {
        match view {
            Ok(view) if !self.is_paused => {
                self.view = Some(view);
                self.received = now;
                self.failure = None;
                self.refresh();
            }
            // It was asked for before.
            Ok(_) => {}
            Err(failure) => self.failure = Some(visible(&failure)),
        }
    }

    /// Takes the text of a task.
    pub(crate) fn receive_task(&mut self, task: u64, text: Result<String, String>) {
        let is_paused = self.is_paused;
        if let Some(open) = self.open.as_mut().filter(|open| open.task == task)
            && !(is_paused && open.lines.is_some())
        {
            match text {
                Ok(text) => open.lines = Some(text.lines().map(visible).collect()),
                Err(failure) => {
                    let failure = visible(&failure);
                    // What was there last is worth more than that it is no more.
                    match open.lines.as_mut() {
                        Some(lines) if lines.first() == Some(&failure) => {}
                        Some(lines) => lines.insert(0, failure),
                        None => open.lines = Some(vec![failure]),
                    }
                }
            }
        }
    }

    /// Makes the rows anew, and keeps the selected one, wherever it is now.
    pub(crate) fn refresh(&mut self) {
        let Some(view) = &self.view else {
            return;
        };
        let mut rows = Vec::new();
        let filter = self.filter.to_lowercase();
        for (at, group) in view.groups.iter().enumerate() {
            let is_meant = match &self.list {
                List::Groups => {
                    if matches_group(group, &filter) {
                        rows.push(Row {
                            group: at,
                            member: None,
                        });
                    }
                    false
                }
                List::Tasks => true,
                List::Members(id) => *id == group.id,
            };
            if is_meant {
                let all = matches_shape(group, &filter);
                let members =
                    (0..group.tasks.len).filter(|it| all || matches_label(group, *it, &filter));
                rows.extend(members.map(|member| Row {
                    group: at,
                    member: Some(member),
                }));
            }
        }
        sort(&mut rows, &view.groups, self.sort);
        self.rows = rows;
        let kept = self.key.as_ref().and_then(|key| {
            let mut rows = self.rows.iter();
            rows.position(|row| self.key_of(*row).as_ref() == Some(key))
        });
        self.select(kept.unwrap_or(self.selected));
    }

    pub(crate) fn group(&self, row: Row) -> Option<&Group> {
        self.view.as_ref()?.groups.get(row.group)
    }

    fn key_of(&self, row: Row) -> Option<Key> {
        let group = self.group(row)?;
        match row.member {
            None => Some(Key::Group(group.id.clone())),
            Some(at) => group.tasks.id.get(at).copied().map(Key::Task),
        }
    }

    pub(crate) fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        let selected = self.rows.get(self.selected).copied();
        self.key = selected.and_then(|row| self.key_of(row));
    }

    /// Shows another list, from its beginning.
    pub(crate) fn show(&mut self, list: List) {
        self.list = list;
        self.key = None;
        self.selected = 0;
        self.refresh();
    }

    /// Opens what is selected: a group of several tasks as a list, or else the task.
    pub(crate) fn open_selected(&mut self) {
        let Some(row) = self.rows.get(self.selected).copied() else {
            return;
        };
        let Some(group) = self.group(row) else {
            return;
        };
        match row.member {
            None if group.tasks.len != 1 => {
                let id = group.id.clone();
                self.show(List::Members(id));
            }
            member => {
                let task = group.tasks.id.get(member.unwrap_or(0)).copied();
                self.open = task.map(|task| Open {
                    task,
                    lines: None,
                    scroll: 0,
                });
            }
        }
    }

    /// Goes back by one step. Whether there was one.
    pub(crate) fn back(&mut self) -> bool {
        if self.open.take().is_some() {
            return true;
        }
        if let List::Members(id) = &self.list {
            let key = Key::Group(id.clone());
            self.list = List::Groups;
            self.key = Some(key);
            self.refresh();
            return true;
        }
        if !self.filter.is_empty() {
            self.filter.clear();
            self.refresh();
            return true;
        }
        false
    }

    pub(crate) fn sort_by_next(&mut self) {
        self.sort = match self.sort {
            Sort::Urgency => Sort::Waited,
            Sort::Waited => Sort::Tasks,
            Sort::Tasks => Sort::Name,
            Sort::Name => Sort::State,
            Sort::State => Sort::Urgency,
        };
        self.refresh();
    }
}

/// The document has the most urgent first. What is equal stays in that order.
fn sort(rows: &mut [Row], groups: &[Group], by: Sort) {
    let waited = |row: &Row| {
        let group = &groups[row.group];
        match row.member {
            Some(at) => group.tasks.waited_ms.get(at).copied().flatten(),
            None => group.longest_ms(),
        }
    };
    match by {
        // In a group, who has waited for longest.
        Sort::Urgency => {
            rows.sort_by_key(|row| (row.group, row.member.map(|_| Reverse(waited(row)))))
        }
        Sort::Waited => rows.sort_by_cached_key(|row| Reverse(waited(row))),
        Sort::Tasks => rows.sort_by_key(|row| Reverse(groups[row.group].tasks.len)),
        Sort::Name => rows.sort_by(|a, b| groups[a.group].name.cmp(&groups[b.group].name)),
        Sort::State => rows.sort_by(|a, b| groups[a.group].state.cmp(&groups[b.group].state)),
    }
}

fn matches_group(group: &Group, filter: &str) -> bool {
    matches_shape(group, filter) || (0..group.tasks.len).any(|at| matches_label(group, at, filter))
}

fn matches_shape(group: &Group, filter: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(filter);
    filter.is_empty()
        || has(&group.name)
        || has(&group.state)
        || group.complaint().is_some_and(has)
        || has(&group.leaf().text())
}

fn matches_label(group: &Group, at: usize, filter: &str) -> bool {
    let label = group.tasks.label.get(at).and_then(Option::as_deref);
    label.is_some_and(|label| label.to_lowercase().contains(filter))
        || group
            .tasks
            .id
            .get(at)
            .is_some_and(|id| id.to_string() == filter)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::document::tests::example;

    pub(crate) fn state() -> State {
        let mut state = State::new(Sort::Urgency, String::new(), false, Duration::from_secs(1));
        state.receive(Ok(example()), Instant::now());
        state
    }

    fn names(state: &State) -> Vec<&str> {
        let groups = state.rows.iter().filter_map(|row| state.group(*row));
        groups.map(|group| group.name.as_str()).collect()
    }

    fn tasks(state: &State) -> Vec<u64> {
        let task = |row: &Row| state.group(*row)?.tasks.id.get(row.member?).copied();
        state.rows.iter().filter_map(task).collect()
    }

    #[test]
    fn orders() {
        let mut state = state();
        assert_eq!(names(&state), ["shop::reconnect", "shop::order"]);
        state.sort = Sort::Tasks;
        state.refresh();
        assert_eq!(names(&state), ["shop::order", "shop::reconnect"]);
        state.sort = Sort::Name;
        state.refresh();
        assert_eq!(names(&state), ["shop::order", "shop::reconnect"]);
        state.sort = Sort::Waited;
        state.show(List::Tasks);
        assert_eq!(tasks(&state), [9, 2, 1, 3]);
        for expected in [Sort::Tasks, Sort::Name, Sort::State, Sort::Urgency] {
            state.sort_by_next();
            assert_eq!(state.sort, expected);
        }
        assert_eq!(tasks(&state), [9, 2, 1, 3]);
    }

    #[test]
    fn filters() {
        let mut state = state();
        let mut filtered = |filter: &str| {
            state.filter = filter.to_owned();
            state.show(List::Groups);
            let groups = names(&state).len();
            state.show(List::Tasks);
            (groups, tasks(&state))
        };
        assert_eq!(filtered("BOB"), (1, vec![2]));
        assert_eq!(filtered("mutex"), (1, vec![2, 1, 3]));
        assert_eq!(filtered("waker"), (1, vec![9]));
        assert_eq!(filtered("suspended").0, 2);
        assert_eq!(filtered("9"), (1, vec![9]));
        assert_eq!(filtered("nothing"), (0, vec![]));
    }

    #[test]
    fn the_selected_one_is_kept() {
        let mut state = state();
        state.select(1);
        let mut view = example();
        view.groups.reverse();
        state.receive(Ok(view.clone()), Instant::now());
        assert_eq!(state.selected, 0);
        assert_eq!(names(&state)[0], "shop::order");
        // It is gone: there is another.
        view.groups.remove(0);
        state.receive(Ok(view), Instant::now());
        assert_eq!(names(&state)[state.selected], "shop::reconnect");
        state.receive(Ok(View::default()), Instant::now());
        assert_eq!(state.selected, 0);
        state.open_selected();
        assert!(state.open.is_none());
    }

    #[test]
    fn there_and_back() {
        let mut state = state();
        state.select(1);
        state.open_selected();
        assert_eq!(state.list, List::Members("a".to_owned()));
        assert_eq!(tasks(&state), [2, 1, 3]);
        state.open_selected();
        assert_eq!(state.open.as_ref().map(|open| open.task), Some(2));
        assert!(state.back());
        assert!(state.back());
        assert_eq!((&state.list, state.selected), (&List::Groups, 1));
        state.select(0);
        state.open_selected();
        assert_eq!(state.open.as_ref().map(|open| open.task), Some(9));
        assert!(state.back());
        assert!(!state.back());
    }

    #[test]
    fn paused() {
        let mut state = state();
        state.is_paused = true;
        state.receive(Ok(View::default()), Instant::now());
        assert_eq!(state.rows.len(), 2);
    }

    #[test]
    fn the_text_of_a_task() {
        let mut state = state();
        state.open_selected();
        state.receive_task(8, Ok("another".to_owned()));
        let lines = |state: &State| state.open.as_ref().and_then(|open| open.lines.clone());
        assert_eq!(lines(&state), None);
        state.receive_task(9, Ok("task 9\n  ╼ a".to_owned()));
        state.receive_task(9, Err("it is gone".to_owned()));
        state.receive_task(9, Err("it is gone".to_owned()));
        let expected = ["it is gone", "task 9", "  ╼ a"].map(str::to_owned);
        assert_eq!(lines(&state), Some(expected.to_vec()));
    }
}
